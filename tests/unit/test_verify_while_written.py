"""Who verifies a workspace that goes on is told of faults, and of nothing that was merely read half old, half new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelmark.app.usecases import verify as usecase
from modelmark.domain.workspace import Workspace
from modelmark.governance.verify import Item

FINE = Item(kind="rows", name="alerts", sentence="add up")
BAD = Item(kind="rows", name="alerts", sentence="do not add up", fault="SUM_DIFFERS")


def verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: list[Item], heads: list[str]
) -> tuple[list[Item], int]:
    """(what is told, how often it was looked at) where each look finds the next of `looks`."""
    found, stands = iter(looks), iter(heads)
    taken: list[Item] = []

    def look(*_: Any, **__: Any) -> Iterator[Item]:
        taken.append(next(found))
        yield taken[-1]

    monkeypatch.setattr(usecase, "verify", look)
    ledger: Any = SimpleNamespace(heads=lambda: {"alerts": next(stands)})
    asked = usecase.Verify(workspace=Workspace(tmp_path), ledger=ledger, artifacts=None, verifier=lambda: None)  # type: ignore[arg-type, return-value]
    return list(asked()), len(taken)


def test_what_looks_like_a_fault_while_others_write_is_looked_for_again(tmp_path, monkeypatch):
    assert verified(tmp_path, monkeypatch, [BAD, FINE], ["1", "2", "2", "2"]) == ([FINE], 2)


def test_a_fault_of_a_workspace_that_stands_still_is_told_at_once(tmp_path, monkeypatch):
    assert verified(tmp_path, monkeypatch, [BAD, FINE], ["1", "1"]) == ([BAD], 1)


def test_a_fault_that_stays_is_told_however_much_is_written(tmp_path, monkeypatch):
    many = usecase.TRIES
    assert verified(tmp_path, monkeypatch, [BAD] * many, [str(n) for n in range(2 * many)]) == ([BAD], many)


def test_what_cannot_be_read_stands_still(tmp_path, monkeypatch):
    assert verified(tmp_path, monkeypatch, [BAD, FINE], []) == ([BAD], 1)
