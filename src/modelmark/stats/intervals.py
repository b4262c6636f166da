"""How sure a metric on labelled rows is: the interval of the method that fits it, its rows and what they depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.metrics import LOSSES, Metric, Task
from modelmark.stats import delong
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.exact_intervals import SHARES, exact_interval
from modelmark.stats.few_rows import FEW, few_rows_interval
from modelmark.stats.heavy_tails import lower_end, upper_end
from modelmark.stats.metrics import TOPPED, Array, LabelledPredictions, Statistic, losses_of, statistic

Units = NDArray[np.int64]

#: From here on DeLong's variance is as good as resampling, and far quicker; the rarer class needs `FEW`.
_MANY: Final = 2000


def metric_interval(
    metric: Metric,
    judged: LabelledPredictions,
    confidence: float,
    *,
    units: Units | None = None,
    times: int | None = None,
) -> Interval:
    """BCa by rows or units; DeLong for the AUC of many independent rows; exact where nothing varies; as `few_rows`
    says where few rows decide, and never narrower than that where rows depend on each other. The upper end of a loss without
    a limit reckons with a larger one than any that was seen.

    units: positions 0..k-1 of rows that depend on each other; None where none do. times: resamples. Raises NotEnoughData.
    """
    found = statistic(metric, judged)
    estimate = found(np.ones(len(judged.y_true)))
    exact = exact_interval(metric, estimate, judged, units, confidence)
    if exact is not None:
        return exact
    few = few_rows_interval(metric, estimate, judged, confidence)
    if few is not None and units is None:
        return few
    if closed_form(metric, judged, units):
        positive = np.asarray(judged.y_true) == judged.positive
        return delong.auc(judged.scores[:, judged.positive], positive, confidence=confidence)
    drawn = _bounded(metric, interval(found, len(judged.y_true), confidence=confidence, units=units, times=times))
    losses = losses_of(metric, judged)
    if losses is not None:
        drawn = _reckoned(metric, judged, drawn, upper_end(losses, confidence, units))
    return drawn if few is None else replace(drawn, low=min(few.low, drawn.low), high=max(few.high, drawn.high))


def gain_interval(
    metric: Metric,
    ours: LabelledPredictions,
    theirs: LabelledPredictions,
    confidence: float,
    *,
    units: Units | None = None,
) -> Interval:
    """How much better ours is on the same rows; above 0 is better, whichever way the metric goes.

    DeLong for the AUC of many independent rows, else BCa; both ends of a gain in a loss without a limit reckon with a row that
    moves it further than any that was seen. Raises NotEnoughData.
    """
    if closed_form(metric, ours, units):
        positive = np.asarray(ours.y_true) == ours.positive
        first, second = (side.scores[:, side.positive] for side in (ours, theirs))
        return delong.auc_difference(first, second, positive, confidence=confidence)
    a, b = statistic(metric, ours), statistic(metric, theirs)
    sign = -1.0 if metric in LOSSES else 1.0
    difference: Statistic = lambda w: sign * (a(w) - b(w))  # noqa: E731
    drawn = interval(difference, len(ours.y_true), confidence=confidence, units=units)
    mine, other = losses_of(metric, ours), losses_of(metric, theirs)
    if mine is None or other is None:
        return drawn
    size = _unit(metric, ours, mine, other)
    low, high = lower_end(other - mine, confidence, units), -lower_end(mine - other, confidence, units)
    return replace(drawn, low=min(drawn.low, low / size), high=max(drawn.high, high / size))


def _unit(metric: Metric, judged: LabelledPredictions, mine: Array, other: Array) -> float:
    """Mean losses that differ by this much are a gain of 1. The difference of two roots is that of the squares over their sum."""
    if metric is Metric.R2:
        return float(np.var(np.asarray(judged.y_true, dtype=np.float64))) or 1.0
    return float(mine.mean() ** 0.5 + other.mean() ** 0.5) or 1.0 if metric is Metric.RMSE else 1.0


def _reckoned(metric: Metric, judged: LabelledPredictions, drawn: Interval, most: float) -> Interval:
    """The worse end, where the mean of the losses may be as large as `most`."""
    if metric is Metric.R2:
        spread = float(np.var(np.asarray(judged.y_true, dtype=np.float64)))
        return replace(drawn, low=min(drawn.low, 1 - most / spread)) if spread > 0 else drawn
    return replace(drawn, high=max(drawn.high, most**0.5 if metric is Metric.RMSE else most))


def _bounded(metric: Metric, found: Interval) -> Interval:
    """No end beyond what the metric can be."""
    high = min(found.high, 1.0) if metric in TOPPED else found.high
    low = (
        max(found.low, 0.0)
        if metric in SHARES or (metric in LOSSES and metric is not Metric.EXPECTED_COST)
        else found.low
    )
    return replace(found, low=min(low, found.estimate), high=max(high, found.estimate))


def closed_form(metric: Metric, judged: LabelledPredictions, units: Units | None) -> bool:
    """Whether DeLong's variance serves: an AUC of two classes, of many independent rows."""
    if metric is not Metric.ROC_AUC or judged.task is not Task.BINARY or units is not None:
        return False
    rarer = np.bincount(np.asarray(judged.y_true, dtype=np.int64), minlength=2).min()
    return len(judged.y_true) >= _MANY and bool(rarer >= FEW)


def rests_on(metric: Metric, judged: LabelledPredictions) -> tuple[int, int] | None:
    """(position of the class whose rows say how sure the metric is, how many there are); None where all rows do."""
    counts = np.bincount(np.asarray(judged.y_true, dtype=np.int64), minlength=judged.scores.shape[1])
    if metric in (Metric.RECALL, Metric.AVERAGE_PRECISION):
        return judged.positive, int(counts[judged.positive])
    if metric in (Metric.ROC_AUC, Metric.BALANCED_ACCURACY):
        return int(counts.argmin()), int(counts.min())
    return None
