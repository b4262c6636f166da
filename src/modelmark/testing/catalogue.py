"""What every row of a gate or a monitor must keep, ours and yours: AssertionError names the promise that broke."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from modelmark.contract.catalogue import load
from modelmark.contract.ranges import broken_ranges
from modelmark.domain.catalogue.rows import GateRow, MonitorRow
from modelmark.domain.tiles import TILES

#: What a gate's page must say, each in one of these words.
_PARTS: Final = (("looks at", "on what data"), ("cannot see",))


def check_gate_row(row: GateRow, docs: Path) -> None:
    """docs: the folder with `gates.md`, which has the gate's name as a heading and leads to its page, `gates/NAME.md`."""
    _check(row)
    assert row.audiences, f"nobody reads {row.name}"
    assert row.difference.rank > 0, f"{row.name} has a rank of {row.difference.rank}"
    index = _headed(row.name, docs / "gates.md")
    assert f"({row.page})" in index, f"gates.md does not lead to {row.page}"
    page = (docs / row.page).read_text(encoding="utf-8").lower()
    for words in _PARTS:
        assert any(word in page for word in words), f"{row.page} says nothing under {words}"


def check_monitor_row(row: MonitorRow, docs: Path) -> None:
    """docs: the folder with `monitors.md`, which has the monitor's name as a heading."""
    _check(row)
    _headed(row.name, docs / "monitors.md")


def _check(row: GateRow | MonitorRow) -> None:
    assert row.name.isidentifier(), f"a name is an identifier, not {row.name!r}"
    assert is_dataclass(row.settings), f"the settings of {row.name} are no dataclass"
    usual = row.settings()
    assert set(row.ranges) == _numbers(row.settings), (
        f"each number of {row.settings.__name__} has a range, and no other"
    )
    outside = [fault.path[-1] for fault in broken_ranges(usual, row.ranges, (row.name,))]
    assert not outside, f"defaults outside their range: {outside}"
    unknown = {proof.tile for proof in row.tiles} - set(TILES)
    assert not unknown, f"no scorecard has the tiles {sorted(unknown)}"
    made = load(row)(usual)
    assert made.name == row.name, f"the code of {row.name} calls itself {made.name!r}"


def _numbers(settings: type[Any]) -> set[str]:
    """Fields that hold numbers or lists of them; one that may also hold text is a value, not a limit."""
    hints = get_type_hints(settings)
    kinds = {field.name: {hints[field.name], *get_args(hints[field.name])} for field in fields(settings)}
    return {name for name, found in kinds.items() if {int, float} & found and str not in found}


def _headed(name: str, page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    assert re.search(rf"^#+ {re.escape(name)}$", text, re.MULTILINE), f"{page.name} has no heading {name!r}"
    return text
