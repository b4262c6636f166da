"""What a decision costs at each threshold, and which threshold is the cheapest."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Costs
from modelmark.stats.metrics import Array

Units = NDArray[np.int64]
_HALVES: Final = 20  # splits that the regret is averaged over


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Mean cost per row at each threshold with its pointwise interval; arrays of shape (thresholds,)."""

    threshold: Array
    cost: Array
    low: Array
    high: Array


def cost_rows(score: Array, positive: NDArray[np.bool_], threshold: float, costs: Costs) -> Array:
    """The cost of each row's decision, shape (rows,)."""
    yes = np.where(positive, costs.true_positive, costs.false_positive)
    no = np.where(positive, costs.false_negative, costs.true_negative)
    return np.asarray(np.where(score >= threshold, yes, no), dtype=np.float64)


def curve(
    score: Array,
    positive: NDArray[np.bool_],
    costs: Costs,
    *,
    units: Units | None = None,
    confidence: float = 0.95,
    points: int = 101,
) -> Curve:
    """Thresholds evenly from 0 to 1. units: what is drawn together; the interval is normal, by their totals."""
    grid, z = np.linspace(0, 1, points), NormalDist().inv_cdf((1 + confidence) / 2)
    groups = np.arange(len(score)) if units is None else units
    mean, spread = np.empty(points), np.empty(points)
    for i, at in enumerate(grid):
        rows = cost_rows(score, positive, float(at), costs)
        mean[i] = rows.mean()
        spread[i] = np.sqrt((np.bincount(groups, rows - mean[i]) ** 2).sum()) / len(rows)
    return Curve(threshold=grid, cost=mean, low=mean - z * spread, high=mean + z * spread)


def cheapest(score: Array, positive: NDArray[np.bool_], costs: Costs) -> tuple[float, float]:
    """(threshold, mean cost) of the cheapest threshold on these rows, in O(n log n); half-way between two scores.

    Choose it on validation rows: on the holdout it would be fitted to what judges it.
    """
    order = np.argsort(-score, kind="stable")
    ranked, real = score[order], positive[order]
    gain = np.where(
        real, costs.true_positive - costs.false_negative, costs.false_positive - costs.true_negative
    )  # what turning this row's no into a yes adds
    none = float(np.where(positive, costs.false_negative, costs.true_negative).sum())
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    totals = none + np.r_[0.0, np.cumsum(gain)[last]]
    best = int(np.argmin(totals))
    edges = np.r_[1.0, ranked[last], 0.0]
    return float(np.clip((edges[best] + edges[best + 1]) / 2, 1e-6, 1 - 1e-6)), float(totals[best] / len(score))


def regret(
    score: Array,
    positive: NDArray[np.bool_],
    threshold: float,
    costs: Costs,
    *,
    units: Units | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """(estimate, low, high) of what the threshold costs per row beyond the cheapest one.

    The cheapest is chosen on one half and priced on the other, many times, so that it does not flatter itself; an
    estimate below 0 says that choosing anew would not have helped. The reach is that of one pair of halves.
    units: positions 0..k-1 of what depends on each other: halves keep it together, and the reach is by its totals.
    """
    rng, found, spread = np.random.default_rng(seed), [], []
    groups = np.arange(len(score)) if units is None else units
    count = int(groups.max()) + 1
    for _ in range(_HALVES):
        here = (rng.permutation(count) < count // 2)[groups]
        extra = np.empty(len(score))
        for choose, price in ((here, ~here), (~here, here)):
            best, _ = cheapest(score[choose], positive[choose], costs)
            extra[price] = cost_rows(score[price], positive[price], threshold, costs) - cost_rows(
                score[price], positive[price], best, costs
            )
        found.append(float(extra.mean()))
        totals = np.bincount(groups, extra - extra.mean())
        spread.append(float(totals.std(ddof=1)) * count**0.5 / len(extra))
    middle, reach = float(np.mean(found)), NormalDist().inv_cdf((1 + confidence) / 2) * float(np.mean(spread))
    return middle, middle - reach, middle + reach
