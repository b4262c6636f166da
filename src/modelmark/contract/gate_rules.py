"""What the limits of gates may be: a limit outside its range would pass everything, or nothing, in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Final

from modelmark.contract.broken import Broken
from modelmark.domain.contract import Contract
from modelmark.domain.gate_settings import Gates
from modelmark.domain.metrics import Task

_SHARE: Final = (0.0, 1.0)
_CONFIDENCE: Final = (0.5, 0.9999)
_HOURS: Final = 24
_COUNT: Final = (1.0, 1_000_000.0)
_SECONDS: Final = (1.0, 86_400.0)
_AMOUNT: Final = (0.0, 1e12)  # in units of the metric or the target, which may be large

#: gate -> setting -> least and most, of every number and list of numbers; null settings are left alone.
RANGES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "data_contract": {"max_violation_rate": _SHARE, "max_duplicate_rate": _SHARE, "max_shift": _SHARE},
    "leakage": {
        "max_near_duplicate_rate": _SHARE,
        "nearness": (0.0, 10.0),
        "max_shared_entity_rate": _SHARE,
        "suspicious": _SHARE,
    },
    "holdout": {
        "confidence": _CONFIDENCE,
        "minimum": (-1e12, 1e12),
        "champion_margin": _AMOUNT,
        "suspicious": _SHARE,
        "max_flattery": _AMOUNT,
        "max_label_gap": _SHARE,
        "worn_after": (0.0, 1_000_000.0),
    },
    "slices": {
        "max_gap": _SHARE,
        "max_rank_gap": (0.0, 0.5),
        "min_rows": (2.0, 1_000_000.0),
        "confidence": _CONFIDENCE,
    },
    "calibration": {"max_error": _SHARE, "max_group_error": _SHARE, "confidence": _CONFIDENCE},
    "objective": {
        "confidence": _CONFIDENCE,
        "harm_confidence": _CONFIDENCE,
        "harm_margin": _AMOUNT,
        "max_regret": (0.0, 10.0),
    },
    "fairness": {
        "min_ratio": _SHARE,
        "max_difference": _SHARE,
        "max_error_gap": (0.0, 10.0),
        "min_rows": (10.0, 1_000_000.0),
        "confidence": _CONFIDENCE,
    },
    "explanation": {
        "tolerance": _SHARE,
        "rows": (5.0, 100_000.0),
        "background": (10.0, 100_000.0),
        "max_evaluations": (1000.0, 1e9),
        "glass_box_rows": (100.0, 10_000_000.0),
        "confidence": _CONFIDENCE,
    },
    "behaviour": {"rows": _COUNT, "confidence": _CONFIDENCE},
    "robustness": {
        "noise": _SHARE,
        "max_noise_flips": _SHARE,
        "champion_margin": _SHARE,
        "max_one_field_flips": _SHARE,
        "rows": (10.0, 1_000_000.0),
        "attacked_rows": _COUNT,
        "radius": (0.0, 100.0),
        "max_queries": (100.0, 1e9),
        "max_seconds": _SECONDS,
    },
    "edge_cases": {"max_failures": (0.0, 10_000.0), "tolerance": _SHARE},
    "tests": {"seconds": _SECONDS, "memory_mib": (64.0, 1_048_576.0), "min_coverage": _SHARE},
    "parity": {"max_flipped_rate": _SHARE, "max_moved_rate": _SHARE, "moved": _SHARE},
    "supply_chain": {"scan_seconds": (1.0, 3600.0)},
    "replay": {
        "requests": _COUNT,
        "seconds": (1.0, 3600.0),
        "fault_rate": (0.0, 0.2),
        "hours": (0.0, 1_000_000.0),
        "max_refused_rate": _SHARE,
        "max_flipped_rate": _SHARE,
    },
    "load": {
        "seconds": (1.0, 3600.0),
        "max_error_rate": _SHARE,
        "overload": (1.0, 1000.0),
        "overload_seconds": (0.1, 3600.0),
        "min_goodput": _SHARE,
        "max_growth_kib": (0.0, 1_048_576.0),
    },
}


def gate_ranges(gates: Gates) -> Iterator[tuple[tuple[str, ...], float, float, float]]:
    """(path, value, least, most) of every limit that is set."""
    for gate, settings in RANGES.items():
        chosen = getattr(gates, gate)
        for name, (low, high) in settings.items() if chosen is not None else ():
            value = getattr(chosen, name)
            for each in value if isinstance(value, tuple) else (value,):
                if each is not None:
                    yield ("gates", gate, name), each, low, high


def broken_fairness(contract: Contract) -> Iterator[Broken]:
    """The favourable class must be one, boundaries must belong to sensitive columns."""
    settings = contract.gates.fairness
    if settings is None:
        return
    path, classes = ("gates", "fairness", "favourable"), contract.outputs.classes
    if settings.favourable is not None and contract.model.task is Task.REGRESSION:
        yield Broken(path, repr(settings.favourable), "nothing; regression has no classes")
    elif settings.favourable is not None and str(settings.favourable) not in map(str, classes):
        yield Broken(path, repr(settings.favourable), f"one of {list(classes)}")
    for name in settings.boundaries:
        if name not in contract.data.sensitive:
            allowed = f"a column of data.sensitive: {', '.join(contract.data.sensitive) or 'none is named'}"
            yield Broken(("gates", "fairness", "boundaries", name), repr(name), allowed)


def broken_replay(contract: Contract) -> Iterator[Broken]:
    """A day has 24 hours, and traffic in one of them at least."""
    replay = contract.gates.replay
    if replay is None:
        return
    good = len(replay.hours) == _HOURS and all(0 <= hour < inf for hour in replay.hours) and sum(replay.hours) > 0
    if not good:
        rule = f"{_HOURS} relative rates from 0 upwards, of which one at least is above 0"
        yield Broken(("gates", "replay", "hours"), f"{len(replay.hours)} rates", rule)
