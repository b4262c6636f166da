"""Published indices of unfairness in one number, with the intervals of their resampled counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from modelmark.stats.fairness import (
    Array,
    Decided,
    differential_fairness,
    disparate_impact,
    generalized_entropy,
    resampled,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """low, high: percentiles of the resampled index; each interval is for itself."""

    name: str
    estimate: float
    low: float
    high: float


def indices(decided: Decided, names: tuple[str, ...], confidence: float) -> tuple[Index, ...]:
    """Disparate impact of the group selected least against all others, generalized entropy, Theil's, differential
    fairness; those that these decisions define."""
    counts = np.bincount(decided.group, minlength=len(names))
    rate = np.bincount(decided.group, decided.said.astype(float), len(names)) / np.maximum(counts, 1)
    least, many = int(np.argmin(rate)), resampled(decided, len(names), 1)
    found = (
        (f"disparate impact of {names[least]} (against all others)", _impact(decided, least), _impacts(many, least)),
        ("generalized entropy (alpha 2)", generalized_entropy(decided.real, decided.said), _entropies(many, 2.0)),
        ("Theil's index", generalized_entropy(decided.real, decided.said, 1.0), _entropies(many, 1.0)),
        ("differential fairness (epsilon)", differential_fairness(decided.said, decided.group), _epsilons(many)),
    )
    tail = (1 - confidence) / 2
    return tuple(
        Index(name=name, estimate=value, low=float(low), high=float(high))
        for name, value, draws in found
        if np.isfinite(value) and np.isfinite(draws).any()
        for low, high in [np.nanquantile(draws[np.isfinite(draws)], [tail, 1 - tail])]
    )


def _impact(decided: Decided, least: int) -> float:
    there = decided.group == least
    return disparate_impact(decided.said, there) if decided.said[~there].any() else float("nan")


def _impacts(sums: Array, least: int) -> Array:
    rows, said = sums[..., 0], sums[..., 1]
    others = (said.sum(1) - said[:, least]) / np.maximum(rows.sum(1) - rows[:, least], 1)
    mine = said[:, least] / np.maximum(rows[:, least], 1)
    return _divided(mine, others)


def _entropies(sums: Array, alpha: float) -> Array:
    """Of benefits 0 (missed), 1 (right) and 2 (alarm), from how many rows have each."""
    rows, _, real, both, alarms = (sums[..., k].sum(axis=1) for k in range(5))
    missed = real - both
    mean = _divided(rows - missed + alarms, rows)
    terms: Callable[[Array], Array] = (
        (lambda s: np.where(s > 0, s * np.log(np.where(s > 0, s, 1.0)), 0.0))
        if alpha == 1
        else (lambda s: (s**alpha - 1) / (alpha * (alpha - 1)))
    )
    each = [terms(_divided(np.full_like(mean, benefit), mean)) for benefit in (0.0, 1.0, 2.0)]
    return _divided(missed * each[0] + (rows - missed - alarms) * each[1] + alarms * each[2], rows)


def _epsilons(sums: Array) -> Array:
    rate = (sums[..., 1] + 0.5) / (sums[..., 0] + 1)
    return np.asarray(np.maximum(np.ptp(np.log(rate), axis=1), np.ptp(np.log1p(-rate), axis=1)))


def _divided(above: Array, below: Array) -> Array:
    found: Array = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return found
