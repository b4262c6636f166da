"""Intervals where few rows say how sure a figure is: resamples of them show too little doubt, or none.

The AUC where a class has few rows: Newcombe 2006, Statistics in Medicine 25:559, method 5 (at 10 positives of 1,000 the
bootstrap's lower end lies above the truth in 8% to 20% of samples where 2.5% are asked; this one's in 1% at most).
Expected cost where a mistake was seen seldom or never: no resample holds what no row is, so each kind of decision gets the
exact interval of its share (Clopper & Pearson 1934, Bonferroni over the kinds), and the ends are the dearest and the
cheapest mixtures that all of them allow.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Costs
from modelmark.domain.metrics import Metric, Task
from modelmark.stats.bootstrap import Interval
from modelmark.stats.delong import hanley_mcneil
from modelmark.stats.metrics import Array, LabelledPredictions, cost_of_rows, measure
from modelmark.stats.rates import clopper_pearson

#: With as many rows of the rarer class, DeLong's variance and the bootstrap are as good.
FEW: Final = 200
#: A kind of decision that was seen as often is resampled as it should be.
_SELDOM: Final = 20


def few_rows_interval(
    metric: Metric, estimate: float, judged: LabelledPredictions, confidence: float
) -> Interval | None:
    """The interval of an AUC or an expected cost that few rows decide; None where they are many, or for other metrics.

    Rows count as independent. Of several classes the ends are means of the classes' ends, as if all erred together.
    """
    ends = None
    if metric is Metric.ROC_AUC and judged.task is not Task.REGRESSION:
        ends = _auc(estimate, judged, confidence)
    if metric is Metric.EXPECTED_COST and judged.costs is not None:
        ends = _cost(judged, judged.costs, confidence)
    if ends is None:
        return None
    return Interval(estimate=estimate, low=ends[0], high=ends[1], n=len(judged.y_true), confidence=confidence)


def _auc(estimate: float, judged: LabelledPredictions, confidence: float) -> tuple[float, float] | None:
    rows = len(judged.y_true)
    counts = np.bincount(np.asarray(judged.y_true, dtype=np.int64), minlength=judged.scores.shape[1])
    rarer = np.minimum(counts, rows - counts)
    if not 0 < rarer.min() < FEW or not np.isfinite(estimate):
        return None
    if judged.task is Task.BINARY:
        return hanley_mcneil(estimate, int(rarer[0]), int(rows - rarer[0]), confidence=confidence)
    ends = [
        hanley_mcneil(_against_the_rest(judged, k), int(few), int(rows - few), confidence=confidence)
        for k, few in enumerate(rarer)
    ]
    return float(np.mean([low for low, _ in ends])), float(np.mean([high for _, high in ends]))


def _against_the_rest(judged: LabelledPredictions, k: int) -> float:
    score, positive = judged.scores[:, k], np.asarray(judged.y_true == k, dtype=np.int64)
    return measure(
        Metric.ROC_AUC, LabelledPredictions(task=Task.BINARY, y_true=positive, scores=np.column_stack([-score, score]))
    )


def _cost(judged: LabelledPredictions, costs: Costs, confidence: float) -> tuple[float, float] | None:
    kinds = np.unique([costs.true_positive, costs.false_positive, costs.true_negative, costs.false_negative])
    rows = cost_of_rows(judged)
    counts = np.array([int((rows == kind).sum()) for kind in kinds])
    if len(kinds) < 2 or counts.min() >= _SELDOM:
        return None
    each = 1 - (1 - confidence) / len(kinds)
    shares = np.array([clopper_pearson(int(hits), len(rows), each) for hits in counts])
    return _extreme(kinds, shares), -_extreme(-kinds[::-1], shares[::-1])


def _extreme(values: Array, shares: NDArray[np.float64]) -> float:
    """The least mean of ascending values whose shares add to 1, each between its ends; shares: (values, 2)."""
    found = shares[:, 0].copy()
    left = 1 - found.sum()
    for k, room in enumerate(shares[:, 1] - shares[:, 0]):
        found[k] += min(left, room)
        left -= min(left, room)
    return float(found @ values)
