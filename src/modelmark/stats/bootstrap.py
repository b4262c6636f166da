"""Bootstrap intervals of any weighted statistic, by rows, groups or blocks of time.

BCa (Efron 1987, JASA 82:171): bias from the share of replicates below the estimate, acceleration from a jackknife.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.metrics import Array, Statistic

_WORK: Final = 20_000_000  # row draws; bounds the time on large tables
_JACKKNIFE_GROUPS: Final = 100
_FEW_UNITS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """estimate with its two-sided interval. n: rows behind it."""

    estimate: float
    low: float
    high: float
    n: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.estimate:.4g} [{self.low:.4g}, {self.high:.4g}]"


def times_for(rows: int) -> int:
    """How many resamples: 2,000 up to ten thousand rows, fewer beyond, never under 400."""
    return int(np.clip(_WORK // max(rows, 1), 400, 2000))


def interval(
    statistic: Statistic,
    rows: int,
    *,
    confidence: float = 0.95,
    units: NDArray[np.int64] | None = None,
    seed: int = 0,
    times: int | None = None,
) -> Interval:
    """The BCa interval of a statistic of `rows` rows.

    units: positions 0..k-1 of what is drawn together (a group, a block); None draws rows. A paired difference is the
    interval of a statistic that subtracts. Of fewer than forty units Student's t, since so few say little of a distribution.
    Raises NotEnoughData for fewer than two units or an undefined statistic.
    """
    drawn = np.arange(rows, dtype=np.int64) if units is None else units
    count = int(drawn.max()) + 1 if rows else 0
    estimate = statistic(np.ones(rows)) if rows else float("nan")
    if count < 2 or not np.isfinite(estimate):
        raise NotEnoughData(f"{rows} rows in {count} independent units are too few to measure this on")
    if units is not None and count < _FEW_UNITS:
        low, high = _students(statistic, drawn, count, estimate, confidence)
        return Interval(estimate=estimate, low=low, high=high, n=rows, confidence=confidence)
    rng = np.random.default_rng(seed)
    replicates = np.empty(times or times_for(rows))
    for i in range(len(replicates)):
        weights = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        replicates[i] = statistic(weights if units is None else weights[drawn])
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 0.9 * len(replicates):
        raise NotEnoughData(f"{rows} rows are too few: one resample in ten cannot be measured")
    low, high = _bca(finite, estimate, _jackknife(statistic, drawn, count), confidence, count)
    return Interval(estimate=estimate, low=low, high=high, n=rows, confidence=confidence)


def _students(
    statistic: Statistic, units: NDArray[np.int64], count: int, estimate: float, confidence: float
) -> tuple[float, float]:
    """Student's interval with the jackknife's error: of few units with k - 1 degrees of freedom (Bell & McCaffrey 2002; of
    stretches of time Ibragimov & Müller 2010, J. Bus. Econ. Stat. 28:453)."""
    from scipy.special import stdtrit

    without = _jackknife(statistic, units, count)
    if len(without) < count:
        raise NotEnoughData(f"{count} units are too few: without one of them this cannot be measured")
    error = float(((without - without.mean()) ** 2).sum() * (count - 1) / count) ** 0.5
    reach = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return estimate - reach, estimate + reach


def _jackknife(statistic: Statistic, units: NDArray[np.int64], count: int) -> Array:
    """The statistic without one of at most a hundred groups of units at a time."""
    groups = units % min(count, _JACKKNIFE_GROUPS) if count <= _JACKKNIFE_GROUPS else units * _JACKKNIFE_GROUPS // count
    values = [statistic((groups != g).astype(np.float64)) for g in range(int(groups.max()) + 1)]
    known: Array = np.array(values)
    return np.asarray(known[np.isfinite(known)])


def _bca(replicates: Array, estimate: float, jackknife: Array, confidence: float, units: int) -> tuple[float, float]:
    """BCa with expanded percentiles (Hesterberg 2015, Am. Stat. 69:371): of k units the bootstrap spreads too little by
    sqrt((k - 1) / k), and a normal quantile stands where Student's belongs; with few units both matter."""
    from scipy.special import ndtr, ndtri, stdtrit

    if np.ptp(replicates) == 0:
        return estimate, estimate
    below = np.mean(replicates < estimate) + np.mean(replicates == estimate) / 2
    bias = ndtri(np.clip(below, 1e-4, 1 - 1e-4))
    off = jackknife.mean() - jackknife
    scale = float((off**2).sum()) ** 1.5
    skew = float((off**3).sum()) / (6 * scale) if scale > 0 else 0.0
    z = stdtrit(units - 1, [(1 - confidence) / 2, (1 + confidence) / 2]) * (units / (units - 1)) ** 0.5
    room = 1 - skew * (bias + z)  # not above 0: the correction has left its range, and only the extreme is sure
    shares = np.where(room > 0, ndtr(bias + (bias + z) / np.maximum(room, 1e-9)), z > 0)
    low, high = np.quantile(replicates, shares)
    return float(min(low, estimate)), float(max(high, estimate))
