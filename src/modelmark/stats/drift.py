"""Drift: how far two samples of one column are apart, with what chance alone would give at these sizes.

Measured is the Jensen-Shannon distance (Endres & Schindelin 2003: the square root of the divergence in bits; 0 to 1).
The plug-in divergence of two samples of one population has mean about (bins - 1)(1/n + 1/m) / (8 ln 2), so it is
never compared with a fixed number: the cut-off comes from a parametric bootstrap at the same (n, m, bins). The interval
is the basic bootstrap's, which takes the bias off again.

`drift` compares a window with its reference, bin by bin; `sample_drift` compares two samples whose rows may hang together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.binning import Codes
from modelmark.stats.calibration import design_effect
from modelmark.stats.metrics import Array

Counts = NDArray[np.int64]
#: (divergences under no drift, chance of exceeding) -> the divergence that chance stays below.
Tail = Callable[[Array, float], float]

DRAWS: Final = 300  # where the tail comes from moments: of a window, and of many columns
SAMPLE_DRAWS: Final = 1000  # of two tables: the tail is read off
ROWS_PER_BIN: Final = 20  # a small window is compared over fewer bins: noise grows with their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """distance: as measured. debiased: without what sampling adds. low, high: the debiased interval. cut: what chance
    stays below, all columns together. n: rows of the second sample."""

    distance: float
    debiased: float
    low: float
    high: float
    cut: float
    n: int

    @property
    def real(self) -> bool:
        """More than chance gives at these sizes."""
        return self.distance > self.cut

    def alarms(self, tolerance: float) -> bool:
        """More than chance gives, and surely more than is tolerated."""
        return self.real and self.low > tolerance


def divergence(first: Array, second: Array) -> Array:
    """Jensen-Shannon divergence in bits of shares or counts along the last axis, 0 to 1 (Lin 1991)."""
    p = first / first.sum(axis=-1, keepdims=True)
    q = second / second.sum(axis=-1, keepdims=True)
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.where(p > 0, p * np.log2(p / middle), 0.0).sum(axis=-1)
        right = np.where(q > 0, q * np.log2(q / middle), 0.0).sum(axis=-1)
    return np.clip(np.asarray((left + right) / 2, dtype=np.float64), 0.0, 1.0)


def drift(
    reference: Counts | Array,
    current: Counts,
    *,
    columns: int = 1,
    false_alarm_rate: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
) -> Drift:
    """Two histograms over the same bins; the reference's may be expected instead of counted.

    columns: how many are looked at together, sharing the false-alarm rate (Šidák).

    Raises NotEnoughData when either is empty.
    """
    n, m = round(float(reference.sum())), int(current.sum())
    if n == 0 or m == 0:
        raise NotEnoughData("one of the two has no values")
    here, there = coarsen(reference, current)
    share = _shared(false_alarm_rate, columns)
    return _compared((here / n, there / m), (n, m), here / n, (DRAWS, DRAWS), _gamma_tail, share, confidence, seed)


def _shared(rate: float, columns: int) -> float:
    """What each of so many columns may err with, that any does as often as `rate` (Šidák)."""
    return rate if columns == 1 else 1 - (1 - rate) ** (1 / columns)


def drifts(
    pairs: Mapping[str, tuple[Counts | Array, Counts]], *, false_alarm_rate: float = 0.01, confidence: float = 0.95
) -> dict[str, Drift]:
    """Every column of a window. An alarm anywhere has the false-alarm rate, however many columns there are."""
    return {
        name: drift(
            here,
            there,
            columns=len(pairs),
            false_alarm_rate=false_alarm_rate,
            confidence=confidence,
            seed=i,
        )
        for i, (name, (here, there)) in enumerate(pairs.items())
    }


def sample_drift(
    first: Codes,
    second: Codes,
    *,
    units: tuple[Codes | None, Codes | None] = (None, None),
    columns: int = 1,
    confidence: float = 0.95,
    false_alarm_rate: float = 0.01,
    seed: int = 0,
) -> Drift:
    """The distance of two samples, each row given by its bin. Raises NotEnoughData when either is empty.

    columns: how many are compared; chance in any of them has the false-alarm rate, and all intervals hold together (Šidák).
    units: positions 0..k-1 of rows that depend on each other, of either sample; they count as fewer (Rao & Scott 1981).
    The interval is stretched to hold the distance as measured, so that what is printed does not contradict itself.
    """
    if not len(first) or not len(second):
        raise NotEnoughData("one side has no values")
    bins = int(max(first.max(), second.max())) + 1
    p, q = (np.bincount(side, minlength=bins) / len(side) for side in (first, second))
    n, m = (_worth(side, bins, of) for side, of in zip((first, second), units, strict=True))
    pooled = (n * p + m * q) / (n + m)
    rate, each = _shared(false_alarm_rate, columns), 1 - _shared(1 - confidence, columns)
    tail, null = (_empirical_tail, SAMPLE_DRAWS) if columns == 1 else (_gamma_tail, DRAWS)  # so far out no draw lies
    found = _compared((p, q), (n, m), pooled, (null, SAMPLE_DRAWS), tail, rate, each, seed)
    return replace(found, low=min(found.low, found.distance), high=max(found.high, found.distance))


def _compared(
    shares: tuple[Array, Array], sizes: tuple[int, int], null: Array, draws: tuple[int, int], tail: Tail, rate: float,
    confidence: float, seed: int,
) -> Drift:  # fmt: skip
    """null: shares of the one population that chance alone draws both samples from. draws: for what chance gives, and for
    the interval."""
    (p, q), (n, m), rng = shares, sizes, np.random.default_rng(seed)
    measured = float(divergence(p, q))
    by_chance, again_drawn = draws
    cut = tail(divergence(_draw(rng, n, null, by_chance), _draw(rng, m, null, by_chance)), rate)
    again = divergence(_draw(rng, n, p, again_drawn), _draw(rng, m, q, again_drawn))
    top, bottom = np.quantile(again, [(1 + confidence) / 2, (1 - confidence) / 2])
    values = [measured, 2 * measured - float(again.mean()), 2 * measured - top, 2 * measured - bottom, cut]
    distance, debiased, low, high, limit = (float(v) for v in np.sqrt(np.clip(values, 0, 1)))
    return Drift(distance=distance, debiased=debiased, low=low, high=high, cut=limit, n=m)


def _empirical_tail(null: Array, rate: float) -> float:
    return float(np.quantile(null, 1 - rate))


def _gamma_tail(null: Array, rate: float) -> float:
    """The gamma distribution with the draws' mean and variance: the divergence is asymptotically a scaled chi-squared."""
    mean, variance = float(null.mean()), float(null.var(ddof=1))
    if mean <= 0 or variance <= 0:
        return 0.0
    freedom = 2 * mean**2 / variance
    # Wilson & Hilferty 1931: the cube root of a chi-squared over its degrees of freedom is nearly normal.
    z = NormalDist().inv_cdf(1 - rate)
    return float(mean * max(0.0, 1 - 2 / (9 * freedom) + z * (2 / (9 * freedom)) ** 0.5) ** 3)


def coarsen(reference: Counts | Array, current: Counts) -> tuple[Counts | Array, Counts]:
    """Both over fewer bins: neighbours are joined until each holds about its share of the reference or enough rows.

    Only sizes and the reference decide, never what the window holds, or the cut-off would no longer be one.
    """
    n, m = float(reference.sum()), int(current.sum())
    wanted = max(4, min(len(reference), m // ROWS_PER_BIN))
    if wanted >= len(reference):
        return reference, current
    group = np.minimum((np.cumsum(reference) - reference / 2) / n * wanted, wanted - 1).astype(np.int64)
    return np.bincount(group, reference, wanted), np.bincount(group, current, wanted).astype(np.int64)


def _worth(codes: Codes, bins: int, units: Codes | None) -> int:
    """How many independent rows these are worth: divided by the mean design effect of the bins' shares, each weighted
    by what is outside it (Rao & Scott 1981, J. Am. Stat. Assoc. 76:221, their first-order correction), or by that of the
    bins' places where that is larger: what wanders leaves all bins of one end together."""
    if units is None:
        return len(codes)
    inside = [codes == k for k in range(bins)]
    weight = np.array([0.0 if not i.any() else 1 - i.mean() for i in inside])
    effect = np.array([design_effect(i.astype(np.float64), units) for i in inside])
    mean = float(weight @ effect / weight.sum()) if weight.sum() > 0 else 1.0
    return max(2, round(len(codes) / max(mean, design_effect(codes.astype(np.float64), units))))


def _draw(rng: np.random.Generator, n: int, shares: Array, times: int) -> Array:
    return rng.multinomial(n, shares / shares.sum(), size=times).astype(np.float64)
