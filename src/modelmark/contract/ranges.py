"""What limits may be: a limit outside its range would pass everything, or nothing, in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.catalogue.rows import Ranges
from modelmark.domain.contract import Contract


def broken_limits(contract: Contract) -> Iterator[RuleViolation]:
    """Every setting of our own gates and monitors that is outside its range."""
    for name, gate in GATES.items():
        yield from broken_ranges(getattr(contract.gates, name), gate.ranges, ("gates", name))
    for name, monitor in MONITORS.items():
        yield from broken_ranges(getattr(contract.monitors, name), monitor.ranges, ("monitors", name))


def broken_ranges(settings: Any, ranges: Ranges, path: tuple[str, ...]) -> Iterator[RuleViolation]:
    """settings: None where nothing is asked. Of a list every number counts; a setting that is null is left alone."""
    for name, (low, high) in ranges.items() if settings is not None else ():
        value = getattr(settings, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not low <= each <= high:
                yield RuleViolation((*path, name), f"{each:g}", f"{low:g} to {high:g}")
