"""What limits may be: a limit outside its range would pass everything, or nothing, in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.catalogue.rows import Ranges
from modelmark.domain.contract import Contract

#: Of `retraining`.
_RETRAINING: Final[Ranges] = {
    "max_age_days": (0.001, 3_650.0),
    "window_days": (0.01, 3_650.0),
    "later_share": (0.05, 0.9),
    "every_days": (0.01, 3_650.0),
    "new_labels": (1, 1_000_000_000),
    "seed": (0, 4_294_967_295),
    "minutes": (0.05, 1_440.0),
    "memory_mib": (64, 1_048_576),
    "source_share": (0.001, 1.0),
}


def broken_limits(contract: Contract) -> Iterator[RuleViolation]:
    """Every setting of our own gates and monitors, and of retraining, that is outside its range."""
    for name, gate in GATES.items():
        yield from broken_ranges(getattr(contract.gates, name), gate.ranges, ("gates", name))
    for name, monitor in MONITORS.items():
        yield from broken_ranges(getattr(contract.monitors, name), monitor.ranges, ("monitors", name))
    yield from broken_ranges(contract.retraining, _RETRAINING, ("retraining",))


def broken_ranges(settings: Any, ranges: Ranges, path: tuple[str | int, ...]) -> Iterator[RuleViolation]:
    """settings: None where nothing is asked. Of a list every number counts; a setting that is null is left alone."""
    for name, (low, high) in ranges.items() if settings is not None else ():
        value = getattr(settings, name)
        for each in value if isinstance(value, tuple) else (value,):
            if each is not None and not low <= each <= high:
                yield RuleViolation((*path, name), f"{each:g}", f"{low:g} to {high:g}")
