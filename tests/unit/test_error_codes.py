"""Whatever people and scripts are refused by carries a code of its own, not its kind's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelmark

ROOT = Path(modelmark.__file__).parent
KINDS = {"Rejected", "Missing", "NotPermitted", "Conflict"}


def made(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in KINDS:
                yield node


@pytest.mark.parametrize("area", ["app", "cli", "governance", "web"])
def test_every_refusal_has_its_code(area: str) -> None:
    found = [(path, call) for path in (ROOT / area).rglob("*.py") for call in made(path)]
    assert found
    silent = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, call in found
        if "code" not in {word.arg for word in call.keywords}
    ]
    assert silent == []
