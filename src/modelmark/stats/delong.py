"""The area under the ROC curve and its variance in closed form, O(n log n), for tables too long to resample often.

DeLong, DeLong & Clarke-Pearson 1988, Biometrics 44:837, by the mid-ranks of Sun & Xu 2014, IEEE SPL 21:1389.
Rows must be independent: groups and stretches of time are for `bootstrap.interval`.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import Array


def _midranks(values: Array) -> Array:
    """Ranks from 1, ties sharing their mean."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(values)]
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + 1 + ends) / 2, ends - starts)
    return ranks


def placements(score: Array, positive: NDArray[np.bool_]) -> tuple[Array, Array]:
    """For each positive row the share of negatives it outranks (ties count half), and for each negative row the share
    of positives that outrank it; shapes (positives,) and (negatives,). Both have the AUC as their mean."""
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        raise NotEnoughData(f"{m} rows of one class and {n} of the other are too few for a ROC curve")
    every = _midranks(score)
    return (
        (every[positive] - _midranks(score[positive])) / n,
        1 - (every[~positive] - _midranks(score[~positive])) / m,
    )


def lowest_perfect(positives: int, negatives: int, *, confidence: float = 0.95) -> float:
    """The lower end of the interval of an AUC of 1, which has no variance of its own."""
    return hanley_mcneil(1.0, positives, negatives, confidence=confidence)[0]


def hanley_mcneil(found: float, positives: int, negatives: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """(low, high): the true AUCs under which the one found is no surprise, for classes of few rows.

    Source: Newcombe 2006, Statistics in Medicine 25:559, method 5: Hanley and McNeil's variance at the true AUC, both
    classes as if they had the mean of their sizes.
    """
    z2, half = _z(confidence) ** 2, (positives + negatives) / 2 - 1

    def surprises(true: float) -> bool:
        spread = true * (1 - true) * (1 + half * ((1 - true) / (2 - true) + true / (1 + true)))
        return (found - true) ** 2 * positives * negatives >= z2 * spread

    ends = []
    for outside in (0.0, 1.0):
        inside = found
        for _ in range(50 if found != outside else 0):
            true = (outside + inside) / 2
            outside, inside = (true, inside) if surprises(true) else (outside, true)
        ends.append(inside)
    return ends[0], ends[1]


def auc(score: Array, positive: NDArray[np.bool_], *, confidence: float = 0.95) -> Interval:
    """The AUC; its interval is made on the logit scale, so that it stays inside 0 to 1 (Pepe 2003, section 5.2).

    Of classes that are told apart without an error it has no width: `exact_interval` has one."""
    above, below = placements(score, positive)
    found, spread = float(above.mean()), _spread(above, below)
    if spread == 0:
        return Interval(estimate=found, low=found, high=found, n=len(score), confidence=confidence)
    reach = _z(confidence) * spread / (found * (1 - found))
    low, high = (1 / (1 + np.exp(-(np.log(found / (1 - found)) + side * reach))) for side in (-1, 1))
    return Interval(estimate=found, low=float(low), high=float(high), n=len(score), confidence=confidence)


def auc_difference(first: Array, second: Array, positive: NDArray[np.bool_], *, confidence: float = 0.95) -> Interval:
    """AUC of the first scores less that of the second on the same rows."""
    (above, below), (other_above, other_below) = placements(first, positive), placements(second, positive)
    found = float(above.mean() - other_above.mean())
    reach = _z(confidence) * _spread(above - other_above, below - other_below)
    return Interval(estimate=found, low=found - reach, high=found + reach, n=len(first), confidence=confidence)


def _spread(above: Array, below: Array) -> float:
    return float(np.sqrt(above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)))


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)
