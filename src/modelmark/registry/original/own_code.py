"""Python that came with a model: what it imports and which modules it is, read without running it. Standard library only."""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.registry.refusal import Refusal

_MODULE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}(\.[A-Za-z_][A-Za-z0-9_]{0,60}){0,5}")
_MOST_MODULES: Final = 200
_WORDS: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCode:
    """modules: the names under which it is imported. imports: modules of others that it asks for, dotted. words: names and short
    texts in it, which may be shown."""

    modules: frozenset[str]
    imports: tuple[str, ...]
    words: frozenset[str]


def module_of(main: str) -> str:
    return main.removesuffix(".py")


def modules_in(names: Iterable[str]) -> frozenset[str]:
    """What can be imported from a folder with these files: modules at its top, and packages."""
    found = {module_of(name) for name in names if "/" not in name and name.endswith(".py")}
    return frozenset(found | {name.partition("/")[0] for name in names if name.endswith("/__init__.py")})


def names_in(folder: Path) -> list[str]:
    """Of every file, by its path in there; none where there is no folder."""
    return [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]


def read(folder: Path) -> OwnCode:
    """Raises Refusal for what is no Python, and for a module called as one that is installed."""
    names = names_in(folder)
    modules = modules_in(names)
    if taken := sorted(filter(is_taken, modules)):
        raise Refusal("module_name_taken", names=taken)
    imports: dict[str, None] = {}
    words: set[str] = {*names, *modules}
    for name in names:
        if name.endswith(".py"):
            tree = _parsed((folder / name).read_bytes(), name)
            imports |= dict.fromkeys(_imports(tree))
            words |= set(_words(tree))
    wanted = [name for name in imports if name.partition(".")[0] not in modules and _MODULE.fullmatch(name)]
    return OwnCode(
        modules=modules, imports=tuple(wanted[:_MOST_MODULES]), words=frozenset(sorted(words)[:_WORDS])
    )  # fmt: skip


def holds_code(data: bytes) -> bool:
    """Whether it is Python that defines or imports something: tables and notes may be Python as well, by accident."""
    try:
        tree = _parsed(data, "")
    except Refusal:
        return False
    return any(
        isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.Assign)
        for node in tree.body
    )


def is_taken(module: str) -> bool:
    """Whether an import of that name would find something else."""
    import importlib.util

    return module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None


def _parsed(data: bytes, name: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(data)
    except SyntaxError as error:
        raise Refusal("no_python", names=[name], numbers=[error.lineno or 0]) from None
    except (ValueError, RecursionError):
        raise Refusal("no_python", names=[name]) from None


def _imports(tree: ast.Module) -> Iterator[str]:
    """Modules, and what may be one: `from a import b` asks for `a`, and for `a.b` where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


def _words(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from (node.name, node.name.partition(".")[0])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 100:
            yield from [node.value] if node.value.isprintable() else []
