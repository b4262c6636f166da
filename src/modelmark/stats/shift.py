"""How far two samples of one column are apart: Jensen-Shannon distance with its interval and its null.

The plug-in distance of two samples of one population is not 0; it is about sqrt((bins - 1)(1/n + 1/m) / (8 ln 2)).
So it is compared with what chance alone gives at these sizes, and its interval is the bias-correcting basic one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.calibration import design_effect
from modelmark.stats.metrics import Array

Codes = NDArray[np.int64]


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
    first: Codes,
    second: Codes,
    *,
    units: tuple[Codes | None, Codes | None] = (None, None),
    confidence: float = 0.95,
    false_alarm_rate: float = 0.01,
    seed: int = 0,
) -> Shift:
    """The distance of two samples, each row given by its bin. Raises NotEnoughData when either is empty.

    units: positions 0..k-1 of rows that depend on each other, of either sample; they count as fewer (Rao & Scott 1981).
    """
    if not len(first) or not len(second):
        raise NotEnoughData("one side has no values")
    bins, times, rng = int(max(first.max(), second.max())) + 1, 1000, np.random.default_rng(seed)
    p, q = (np.bincount(side, minlength=bins) / len(side) for side in (first, second))
    n, m = (_worth(side, bins, of) for side, of in zip((first, second), units, strict=True))
    here = float(divergence(p, q))
    pooled = (n * p + m * q) / (n + m)
    null = divergence(_draw(rng, n, pooled, times), _draw(rng, m, pooled, times))
    again = divergence(_draw(rng, n, p, times), _draw(rng, m, q, times))
    upper, lower = np.quantile(again, [(1 + confidence) / 2, (1 - confidence) / 2])
    root = np.sqrt(np.clip([here, 2 * here - upper, 2 * here - lower, np.quantile(null, 1 - false_alarm_rate)], 0, 1))
    distance, low, high, cut = map(float, root)
    return Shift(distance=distance, low=min(low, distance), high=max(high, distance), null=cut)


def _worth(codes: Codes, bins: int, units: Codes | None) -> int:
    """How many independent rows these are worth: divided by the mean design effect of the bins' shares, each weighted
    by what is outside it (Rao & Scott 1981, J. Am. Stat. Assoc. 76:221, their first-order correction)."""
    if units is None:
        return len(codes)
    inside = [codes == k for k in range(bins)]
    weight = np.array([0.0 if not i.any() else 1 - i.mean() for i in inside])
    effect = np.array([design_effect(i.astype(np.float64), units) for i in inside])
    mean = float(weight @ effect / weight.sum()) if weight.sum() > 0 else 1.0
    return max(2, round(len(codes) / mean))


def _draw(rng: np.random.Generator, n: int, shares: Array, times: int) -> Array:
    return rng.multinomial(n, shares / shares.sum(), size=times).astype(np.float64)


def numeric_codes(first: Array, second: Array, bins: int = 20) -> tuple[Codes, Codes]:
    """Each row's bin among quantile bins of the first sample; the last bin is null (NaN)."""
    known = first[np.isfinite(first)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([0.0])

    def code(values: Array) -> Codes:
        inside = np.searchsorted(edges, values, side="left")
        return np.where(np.isfinite(values), inside, len(edges) + 1).astype(np.int64)

    return code(first), code(second)


def text_codes(first: list[str | None], second: list[str | None], most: int = 50) -> tuple[Codes, Codes]:
    """Each row's bin: the first sample's commonest values, then one for all others and one for null."""
    from collections import Counter

    names = [value for value, _ in Counter(first).most_common() if value is not None][:most]
    place: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    place[None] = len(names) + 1

    def code(values: list[str | None]) -> Codes:
        return np.array([place.get(value, len(names)) for value in values], dtype=np.int64)

    return code(first), code(second)
