"""How far two samples of one column are apart: Jensen-Shannon distance with its interval and its null.

The plug-in distance of two samples of one population is not 0; it is about sqrt((bins - 1)(1/n + 1/m) / (8 ln 2)).
So it is compared with what chance alone gives at these sizes, and its interval is the bias-correcting basic one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.metrics import Array

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """distance, low, high: 0 (same shares) to 1 (nothing in common). null: what chance alone stays below."""

    distance: float
    low: float
    high: float
    null: float

    @property
    def real(self) -> bool:
        """More than chance would give at these sample sizes."""
        return self.distance > self.null


def divergence(first: Array, second: Array) -> Array:
    """Jensen-Shannon divergence in bits of shares or counts along the last axis, 0 to 1 (Lin 1991)."""
    p = first / first.sum(axis=-1, keepdims=True)
    q = second / second.sum(axis=-1, keepdims=True)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=-1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=-1)
    return np.clip(np.asarray((left + right) / 2, dtype=np.float64), 0.0, 1.0)


def shift(
    first: Counts, second: Counts, *, confidence: float = 0.95, false_alarm_rate: float = 0.01, seed: int = 0
) -> Shift:
    """The distance of two histograms over the same bins. Raises NotEnoughData when either is empty."""
    n, m = int(first.sum()), int(second.sum())
    if n == 0 or m == 0:
        raise NotEnoughData("one side has no values")
    times, rng = 1000, np.random.default_rng(seed)
    here = float(divergence(first.astype(np.float64), second.astype(np.float64)))
    pooled = (first + second) / (n + m)
    null = divergence(_draw(rng, n, pooled, times), _draw(rng, m, pooled, times))
    again = divergence(_draw(rng, n, first / n, times), _draw(rng, m, second / m, times))
    upper, lower = np.quantile(again, [(1 + confidence) / 2, (1 - confidence) / 2])
    root = np.sqrt(np.clip([here, 2 * here - upper, 2 * here - lower, np.quantile(null, 1 - false_alarm_rate)], 0, 1))
    distance, low, high, cut = map(float, root)
    return Shift(distance=distance, low=min(low, distance), high=max(high, distance), null=cut)


def _draw(rng: np.random.Generator, n: int, shares: Array, times: int) -> Array:
    return rng.multinomial(n, shares / shares.sum(), size=times).astype(np.float64)


def numeric_counts(first: Array, second: Array, bins: int = 20) -> tuple[Counts, Counts]:
    """Histograms over quantile bins of the first sample, one bin more for null (NaN)."""
    known = first[np.isfinite(first)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([0.0])

    def count(values: Array) -> Counts:
        finite = np.isfinite(values)
        inside = np.bincount(np.searchsorted(edges, values[finite], side="left"), minlength=len(edges) + 1)
        return np.asarray(np.r_[inside, np.sum(~finite)], dtype=np.int64)

    return count(first), count(second)


def text_counts(first: list[str | None], second: list[str | None], most: int = 50) -> tuple[Counts, Counts]:
    """Counts of the first sample's commonest values, one bin each for all others and for null."""
    from collections import Counter

    here, there = Counter(first), Counter(second)
    names = [value for value, _ in here.most_common() if value is not None][:most]

    def count(seen: Counter[str | None]) -> Counts:
        named = [seen[name] for name in names]
        rest = sum(seen.values()) - sum(named) - seen[None]
        return np.array([*named, rest, seen[None]], dtype=np.int64)

    return count(here), count(there)
