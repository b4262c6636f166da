"""What import-linter cannot see: imports inside functions, imports for type checkers alone, containers passed around."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2] / "src" / "modelmark"
ROOMS = sorted(p.name for p in HOUSE.iterdir() if (p / "__init__.py").exists() and p.name != "cli")
CONTAINERS = {"Container", "Workbench", "ControlPlane"}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def trees(*rooms: str) -> Iterator[tuple[str, ast.Module]]:
    for room in rooms:
        for path in sorted((HOUSE / room).rglob("*.py")):
            yield path.relative_to(HOUSE).as_posix(), parsed(path)


def own(node: ast.AST) -> str | None:
    """The module of ours that a statement imports."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("modelmark"):
        return node.module
    if isinstance(node, ast.Import):
        return next((name.name for name in node.names if name.name.startswith("modelmark")), None)
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_every_import_of_ours_stands_at_the_top_of_its_file(room: str) -> None:
    found = [
        f"{path}:{inner.lineno} imports {own(inner)}"
        for path, tree in trees(room)
        for outer in tree.body
        if not isinstance(outer, ast.Import | ast.ImportFrom)
        for inner in ast.walk(outer)
        if own(inner)
    ]
    assert found == []


def test_nobody_is_handed_a_container() -> None:
    found = [
        f"{path}: {node.name}({argument.arg})"
        for path, tree in trees(*(p.name for p in HOUSE.iterdir() if p.is_dir()))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is not None and CONTAINERS & set(ast.unparse(argument.annotation).split(" | "))
    ]
    assert found == []


def test_every_use_case_is_a_frozen_dataclass_that_is_called() -> None:
    for path, tree in trees("app/usecases"):
        if path.endswith("__init__.py"):
            continue
        called = [
            node
            for node in tree.body
            if isinstance(node, ast.ClassDef)
            and any(isinstance(item, ast.FunctionDef) and item.name == "__call__" for item in node.body)
        ]
        assert len(called) == 1, f"{path} has {len(called)} use cases"
        (decorator,) = called[0].decorator_list
        assert "frozen=True" in ast.unparse(decorator), path
        words = [word.capitalize() for word in Path(path).stem.split("_")]
        assert called[0].name == "".join(words), f"{path} holds {called[0].name}"


def test_no_function_is_longer_than_a_page() -> None:
    found = [
        f"{path}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, tree in trees(*ROOMS, "cli")
        if "migrations" not in path and "generated" not in path
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
        if node.end_lineno - node.lineno + 1 > 60
    ]
    assert found == []


def test_every_folder_can_be_taken_in_at_a_glance() -> None:
    full = Counter(path.parent.relative_to(HOUSE).as_posix() for path in HOUSE.rglob("*.py"))
    assert {folder: count for folder, count in full.items() if count > 31} == {}


def test_the_child_that_unpickles_has_one_thread_when_it_arms_itself() -> None:
    """A process of several threads may not leave its network behind, and numpy starts some."""
    code = "import sys, modelmark.registry.convert_child; print('numpy' in sys.modules, 'onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
