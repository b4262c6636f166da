"""Intervals of a quality that is 0 or 1 to the last row: every resample of such rows is like them, so none shows doubt.

A share of hits among n trials has the exact interval of Clopper & Pearson 1934 (all of n: 0.05 / n short of 1, about
3 / n, the rule of three, when one-sided). Several classes are averaged over intervals that hold together (Bonferroni).
The AUC is the chance that a positive outranks a negative: pairs that share no row are independent trials of it, of which
there are as many as rows of the rarer class (the distribution-free bound of Birnbaum & McCarty 1958, Ann. Math. Stat.
29:558, rests on the same chance).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.metrics import Metric, Task
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.rates import clopper_pearson

Units = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Metrics that are shares of hits, alone or averaged.
SHARES: Final = frozenset(
    {Metric.ACCURACY, Metric.BALANCED_ACCURACY, Metric.RECALL, Metric.PRECISION, Metric.F1, Metric.ROC_AUC}
)


def exact_interval(
    metric: Metric, value: float, judged: LabelledPredictions, units: Units | None, confidence: float
) -> Interval | None:
    """The interval of a share that is exactly 0 or 1 on these rows; None for any other value or metric.

    units: positions 0..k-1 of rows that depend on each other, counted once each.
    """
    if metric not in SHARES or value not in (0.0, 1.0) or judged.task is Task.REGRESSION:
        return None
    counts = [n for n in _trials(metric, judged, units) if n]
    each = 1 - (1 - confidence) / max(len(counts), 1)
    ends = np.array([clopper_pearson(n if value else 0, n, each) for n in counts] or [(0.0, 1.0)])
    if metric is Metric.F1:
        ends = 2 * ends / (1 + ends)  # from the share of rows said or truly positive that are both
    low, high = ends.mean(axis=0)
    return Interval(estimate=value, low=float(low), high=float(high), n=len(judged.y_true), confidence=confidence)


def _trials(metric: Metric, judged: LabelledPredictions, units: Units | None) -> list[int]:
    """Independent trials behind the share, of each class that counts."""
    y_true, said = np.asarray(judged.y_true, dtype=np.int64), judged.decisions()
    if metric is Metric.ACCURACY:
        return [_count(np.ones(len(y_true), dtype=bool), units)]
    one = judged.task is Task.BINARY and metric is not Metric.BALANCED_ACCURACY
    classes = [judged.positive] if one else range(judged.scores.shape[1])
    if metric is Metric.ROC_AUC:
        return [min(_count(y_true == c, units), _count(y_true != c, units)) for c in classes]
    if metric is Metric.PRECISION:
        return [_count(said == c, units) for c in classes]
    if metric is Metric.F1:
        return [_count((said == c) | (y_true == c), units) for c in classes]
    return [_count(y_true == c, units) for c in classes]


def _count(rows: Mask, units: Units | None) -> int:
    return int(rows.sum()) if units is None else len(np.unique(units[rows]))
