"""Drift: how far a window is from the reference, with what chance alone would give at these sizes.

Measured is the Jensen-Shannon distance (Endres & Schindelin 2003: the square root of the divergence in bits; 0 to 1).
The plug-in divergence of two samples of one population has mean about (bins - 1)(1/n + 1/m) / (8 ln 2), so it is
never compared with a fixed number: the cut-off comes from a parametric bootstrap at the same (n, m, bins), its tail
from the gamma distribution with the bootstrap's mean and variance (the divergence is asymptotically a scaled
chi-squared), and the family of all columns shares one false-alarm rate (Šidák). The interval is the basic
bootstrap's, which takes the bias off again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.shift import divergence

Counts = NDArray[np.int64]
Array = NDArray[np.float64]

NULL_DRAWS: Final = 300
INTERVAL_DRAWS: Final = 300
ROWS_PER_BIN: Final = 20  # a small window is compared over fewer bins: noise grows with their number


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """distance: as measured. debiased: without what sampling adds. low, high: the debiased interval. cut: what chance
    stays below, all columns together. n: rows of the window."""

    distance: float
    debiased: float
    low: float
    high: float
    cut: float
    n: int

    def alarms(self, tolerance: float) -> bool:
        """More than chance gives, and surely more than is tolerated."""
        return self.distance > self.cut and self.low > tolerance


def drift(
    reference: Counts,
    current: Counts,
    *,
    columns: int = 1,
    false_alarm_rate: float = 0.01,
    confidence: float = 0.95,
    seed: int = 0,
) -> Drift:
    """Two histograms over the same bins. columns: how many are looked at together, sharing the false-alarm rate.

    Raises NotEnoughData when either is empty.
    """
    n, m = int(reference.sum()), int(current.sum())
    if n == 0 or m == 0:
        raise NotEnoughData("one of the two has no values")
    here, there = coarsen(reference, current)
    rng = np.random.default_rng(seed)
    measured = float(divergence(here.astype(np.float64), there.astype(np.float64)))
    share = false_alarm_rate if columns == 1 else 1 - (1 - false_alarm_rate) ** (1 / columns)
    cut = _cut(here, n, m, share, rng)
    again = divergence(_draw(rng, n, here / n, INTERVAL_DRAWS), _draw(rng, m, there / m, INTERVAL_DRAWS))
    top, bottom = np.quantile(again, [(1 + confidence) / 2, (1 - confidence) / 2])
    values = [measured, 2 * measured - float(again.mean()), 2 * measured - top, 2 * measured - bottom, cut]
    distance, debiased, low, high, limit = (float(v) for v in np.sqrt(np.clip(values, 0, 1)))
    return Drift(distance=distance, debiased=debiased, low=low, high=high, cut=limit, n=m)


def drifts(
    pairs: Mapping[str, tuple[Counts, Counts]], *, false_alarm_rate: float = 0.01, confidence: float = 0.95
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


def coarsen(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Both over fewer bins: neighbours are joined until each holds about its share of the reference or enough rows.

    Only sizes and the reference decide, never what the window holds, or the cut-off would no longer be one.
    """
    n, m = int(reference.sum()), int(current.sum())
    wanted = max(4, min(len(reference), m // ROWS_PER_BIN))
    if wanted >= len(reference):
        return reference, current
    group = np.minimum((np.cumsum(reference) - reference / 2) / n * wanted, wanted - 1).astype(np.int64)
    return _joined(reference, group, wanted), _joined(current, group, wanted)


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index between two histograms over the same bins.

    reference, current: int64 arrays of shape (bins,). Returns nats, >= 0; 0 means equal shares. Empty bins count as
    half a row. Its mean under no drift is about (bins - 1) * (1 / n_ref + 1 / n_cur): compare with `psi_null`, never
    with 0.1. Raises NotEnoughData if either is empty. Source: Yurdakul & Naranjo 2020, J. Risk Model Validation.
    """
    if not reference.sum() or not current.sum():
        raise NotEnoughData("one of the two has no values")
    p, q = (np.where(counts == 0, 0.5, counts) / counts.sum() for counts in (reference, current))
    return float(((p - q) * np.log(p / q)).sum())


def psi_null(bins: int, n_ref: int, n_cur: int) -> float:
    """The mean of `psi` when nothing drifted, in nats.

    >>> round(psi_null(10, 5000, 100), 3)
    0.092
    """
    return (bins - 1) * (1 / n_ref + 1 / n_cur)


def _cut(reference: Counts, n: int, m: int, share: float, rng: np.random.Generator) -> float:
    """The divergence that chance exceeds with probability `share`."""
    shares = reference / n
    null = divergence(_draw(rng, n, shares, NULL_DRAWS), _draw(rng, m, shares, NULL_DRAWS))
    mean, variance = float(null.mean()), float(null.var(ddof=1))
    if mean <= 0 or variance <= 0:
        return 0.0
    freedom = 2 * mean**2 / variance
    # Wilson & Hilferty 1931: the cube root of a chi-squared over its degrees of freedom is nearly normal.
    z = NormalDist().inv_cdf(1 - share)
    return float(mean * max(0.0, 1 - 2 / (9 * freedom) + z * (2 / (9 * freedom)) ** 0.5) ** 3)


def _draw(rng: np.random.Generator, n: int, shares: Array, times: int) -> Array:
    return rng.multinomial(n, shares / shares.sum(), size=times).astype(np.float64)


def _joined(counts: Counts, group: Counts, size: int) -> Counts:
    return np.bincount(group, counts, size).astype(np.int64)
