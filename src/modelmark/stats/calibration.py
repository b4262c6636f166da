"""Do things happen as often as was said? Errors that are not inflated by few rows, with their intervals.

The plug-in calibration error of a perfect model is not 0; it is about sqrt(bins * rate * (1 - rate) / n). So chance is
taken off the squared error (Kumar, Liang & Ma 2019, NeurIPS), and the interval is the set of true errors under which
the one seen would be no surprise. The cumulative test needs no bins (Arrieta-Ibarra et al. 2022, JMLR 23:351).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.metrics import Array
from modelmark.stats.rates import more_needed

_DRAWS: Final = 4000
_MOST_BINS: Final = 15
_BIN_ROWS: Final = 40  # in a bin of fewer rows, the share of a rare class cannot be told from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Rows binned by score, about equally many in each; arrays of shape (bins,).

    share: of all rows. said: mean score. came: rate of the outcome. noise: variance of came - said by chance alone.
    """

    share: Array
    said: Array
    came: Array
    noise: Array
    count: NDArray[np.int64]

    @property
    def gap(self) -> Array:
        return self.came - self.said


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationError:
    """Root mean square of the gap between what was said and what came, chance taken off; 0 to 1."""

    estimate: float
    low: float
    high: float
    n: int
    bins: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} [{self.low:.3f}, {self.high:.3f}]"


def equal_bins(score: Array, outcome: Array, bins: int | None = None, *, inflation: float = 1.0) -> Bins:
    """score: probabilities, shape (rows,). outcome: 0 or 1. Equal scores share a bin.

    inflation: how much larger than for independent rows the variance of a mean is (`design_effect`).
    """
    n = len(score)
    wanted = bins or int(np.clip(n // _BIN_ROWS, 1, _MOST_BINS))
    edges = np.unique(np.quantile(score, np.linspace(0, 1, wanted + 1)[1:-1])) if wanted > 1 else np.empty(0)
    place = np.unique(np.searchsorted(edges, score, side="left"), return_inverse=True)[1]
    count = np.bincount(place)
    said, came = np.bincount(place, score) / count, np.bincount(place, outcome) / count
    smooth = (came * count + 0.5) / (count + 1)  # no bin is sure only because it is small (Jeffreys)
    noise = inflation * smooth * (1 - smooth) / count
    return Bins(share=count / n, said=said, came=came, noise=noise, count=count)


def calibration_error(
    score: Array, outcome: Array, *, confidence: float = 0.95, inflation: float = 1.0, seed: int = 0
) -> CalibrationError:
    """Raises NotEnoughData below two rows. low is 0 unless the error is surely there."""
    if len(score) < 2:
        raise NotEnoughData(f"{len(score)} rows are too few to see how often things come")
    found = equal_bins(score, outcome, inflation=inflation)
    squared = float(found.share @ found.gap**2)
    estimate = float(np.sqrt(max(0.0, squared - float(found.share @ found.noise))))
    low, high = _interval(found, squared, confidence, seed)
    return CalibrationError(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        n=len(score),
        bins=len(found.share),
        confidence=confidence,
    )


def _interval(found: Bins, squared: float, confidence: float, seed: int) -> tuple[float, float]:
    """The true errors, along the direction seen, for which `squared` is in neither tail."""
    draws = np.random.default_rng(seed).normal(size=(_DRAWS, len(found.share))) * np.sqrt(found.noise)
    chance = draws**2 @ found.share
    length = np.sqrt(squared) or 1.0
    along = draws @ (found.share * found.gap / length)
    tail = (1 - confidence) / 2

    def above(true: float) -> float:
        return float(np.mean(chance + 2 * true * along + true**2 >= squared))

    return (0.0 if above(0.0) >= tail else _solve(above, tail)), _solve(above, 1 - tail)


def _solve(above: Callable[[float], float], wanted: float) -> float:
    low, high = 0.0, 2.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) < wanted else (low, middle)
    return min(low, 1.0)


def design_effect(residual: Array, units: NDArray[np.int64] | None) -> float:
    """How much larger the variance of a mean is because rows come in units; at least 1. Source: Kish 1965."""
    if units is None or len(residual) < 2:
        return 1.0
    centred = residual - residual.mean()
    alone = float(centred @ centred)
    together = float((np.bincount(units, centred) ** 2).sum())
    return max(1.0, together / alone) if alone > 0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cumulative:
    """statistic: largest absolute mean of (outcome - score) over the lowest-scored rows, in units of probability.

    scale: its size under perfect calibration. low, high: what the true one is between, at the confidence asked of each
    end; by the triangle inequality, so wider than need be.
    """

    statistic: float
    scale: float
    low: float
    high: float

    @property
    def p_value(self) -> float:
        return 1 - ks_cdf(self.statistic / self.scale) if self.scale > 0 else float(self.statistic == 0)


def cumulative(score: Array, outcome: Array, *, confidence: float = 0.95, inflation: float = 1.0) -> Cumulative:
    """ECCE-MAD, the largest cumulative difference along the scores. Equal scores are added at once."""
    n, order = len(score), np.argsort(score, kind="stable")
    ordered, residual = score[order], (outcome - score)[order]
    last = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    statistic = float(np.abs(np.cumsum(residual)[last]).max()) / n
    scale = float(np.sqrt(inflation * (score * (1 - score)).sum())) / n
    # Where the scores are wrong their own variance is too; the residuals' is at least as large as the outcomes'.
    spread = float(np.sqrt(inflation * (residual**2).sum())) / n
    reach = _ks_quantile(confidence) * spread
    return Cumulative(
        statistic=statistic, scale=scale, low=max(0.0, statistic - reach), high=min(1.0, statistic + reach)
    )


def ks_cdf(x: float) -> float:
    """P(largest absolute value of Brownian motion on 0 to 1 is at most x). Source: Erdős & Kac 1946.

    >>> [round(ks_cdf(x), 6) for x in (1, 2, 3)]
    [0.370777, 0.908999, 0.9946]
    """
    if x <= 0:
        return 0.0
    odd = 2 * np.arange(100) + 1
    terms = np.exp(-((odd * np.pi) ** 2) / (8 * x * x)) / odd
    return float(np.clip(4 / np.pi * (terms[::2].sum() - terms[1::2].sum()), 0, 1))


def _ks_quantile(confidence: float) -> float:
    low, high = 0.1, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if ks_cdf(middle) < confidence else (low, middle)
    return high


def labels_needed(found: CalibrationError, limit: float) -> int | None:
    """About how many more labels would tell on which side of the limit the error is; None when that is known."""
    if found.low > limit or found.high <= limit:
        return None
    return more_needed(found.n, (found.high - found.low) / 2, abs(found.estimate - limit))
