"""The metrics a contract may name, as functions of row weights, so that resampling costs one pass each.

Definitions follow scikit-learn's (weighted) ones; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Contract, Costs
from modelmark.domain.errors import Unmeasured
from modelmark.domain.metrics import Metric, Task
from modelmark.stats.decisions import decided

Array = NDArray[np.float64]
#: Weights of shape (rows,), usually how often a resample drew each row -> the metric. NaN where it is undefined.
Statistic = Callable[[Array], float]

#: Metrics whose best value is 1.
TOPPED: Final = frozenset(
    {
        Metric.ACCURACY,
        Metric.BALANCED_ACCURACY,
        Metric.ROC_AUC,
        Metric.F1,
        Metric.PRECISION,
        Metric.RECALL,
        Metric.R2,
        Metric.AVERAGE_PRECISION,
    }
)
_CLIP: Final = 1e-15


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledPredictions:
    """Truth and scores of the same rows.

    truth: class positions (int64) or values (float64), shape (rows,). scores: (rows, classes) or (rows, 1).
    positive: position of the positive class, for binary tasks. drawn_from: of how many rows these were drawn at random; 0
    where these are all. units: positions 0..k-1 of rows that depend on each other, such as those of one request; None
    where none do.
    """

    task: Task
    y_true: NDArray[np.int64] | Array
    scores: Array
    positive: int = 1
    threshold: float = 0.5
    costs: Costs | None = None
    quantile: float = 0.5
    drawn_from: int = 0
    units: NDArray[np.int64] | None = None

    def decisions(self) -> NDArray[np.int64]:
        """Class positions as the endpoint decides: by threshold for binary tasks, else by the largest score."""
        positive = self.positive if self.task is Task.BINARY else None
        return decided(self.scores, positive=positive, threshold=self.threshold)


def judged(
    contract: Contract,
    y_true: NDArray[np.int64] | Array,
    scores: Array,
    *,
    drawn_from: int = 0,
    units: NDArray[np.int64] | None = None,
) -> LabelledPredictions:
    """Truth and scores with everything of the contract that metrics need."""
    return LabelledPredictions(
        task=contract.model.task,
        y_true=y_true,
        scores=scores,
        positive=positive_of(contract) if contract.model.task is Task.BINARY else 0,
        threshold=contract.outputs.threshold,
        costs=contract.objective.costs,
        quantile=contract.objective.quantile,
        drawn_from=drawn_from,
        units=units,
    )


def statistic(metric: Metric, judged: LabelledPredictions) -> Statistic:
    """The metric on these rows, ready to be weighted. Raises Unmeasured where metric and task do not fit."""
    if judged.task is Task.REGRESSION:
        return _regression(metric, judged)
    if metric is Metric.ROC_AUC:
        return _auc(judged)
    if metric is Metric.AVERAGE_PRECISION:
        return _average_precision(judged)
    rows = _per_row(metric, judged)
    return mean_of(rows) if rows is not None else _counts(metric, judged)


def measure(metric: Metric, judged: LabelledPredictions) -> float:
    """The metric with every row once."""
    return statistic(metric, judged)(np.ones(len(judged.y_true)))


def losses_of(metric: Metric, judged: LabelledPredictions) -> Array | None:
    """What each row adds to a mean of losses that have no upper limit; squared for the root mean squared error and R². None
    for other metrics."""
    if judged.task is Task.REGRESSION:
        error = judged.scores[:, 0] - np.asarray(judged.y_true, dtype=np.float64)
        if metric is Metric.MAE:
            return np.abs(error)
        if metric in (Metric.RMSE, Metric.R2):
            return np.asarray(error**2)
        if metric is Metric.PINBALL:
            return np.asarray(np.maximum(-judged.quantile * error, (1 - judged.quantile) * error))
    return _per_row(metric, judged) if metric is Metric.LOG_LOSS else None


def total(weights: Array, rows: Array) -> float:
    """Their sum of products, in this thread alone: BLAS shares longer vectors among threads that wait for each other, which
    costs hundreds of times as much where others want the processors."""
    return float(np.multiply(weights, rows).sum())


def mean_of(rows: Array) -> Statistic:
    return lambda weights: total(weights, rows) / float(weights.sum())


def _regression(metric: Metric, judged: LabelledPredictions) -> Statistic:
    y_true = np.asarray(judged.y_true, dtype=np.float64)
    error = judged.scores[:, 0] - y_true
    losses = losses_of(metric, judged)
    if losses is not None and metric is not Metric.R2:
        mean = mean_of(losses)
        return (lambda weights: float(np.sqrt(mean(weights)))) if metric is Metric.RMSE else mean
    if metric is not Metric.R2:
        raise Unmeasured(f"{metric.value} is no metric of regression", limit="mae, rmse, r2, pinball")

    mean, squared = mean_of(y_true), error**2

    def r2(weights: Array) -> float:
        centred = y_true - mean(weights)
        spread = total(weights, centred**2)
        return 1 - total(weights, squared) / spread if spread > 0 else float("nan")

    return r2


def _per_row(metric: Metric, judged: LabelledPredictions) -> Array | None:
    """Metrics that are means of a value per row."""
    y_true = np.asarray(judged.y_true, dtype=np.int64)
    rows = np.arange(len(y_true))
    if metric is Metric.ACCURACY:
        return np.asarray(judged.decisions() == y_true, dtype=np.float64)
    if metric is Metric.LOG_LOSS:
        return np.asarray(-np.log(np.clip(judged.scores[rows, y_true], _CLIP, 1)), dtype=np.float64)
    if metric is Metric.BRIER:
        if judged.task is Task.BINARY:
            return np.asarray((judged.scores[:, judged.positive] - (y_true == judged.positive)) ** 2, dtype=np.float64)
        return np.asarray(((judged.scores - np.eye(judged.scores.shape[1])[y_true]) ** 2).sum(axis=1), dtype=np.float64)
    if metric is Metric.EXPECTED_COST:
        return cost_of_rows(judged)
    return None


def unit_losses(metric: Metric, judged: LabelledPredictions) -> tuple[Array, float, float] | None:
    """(a loss per row in [0, 1], low, scale), where the metric is a mean of bounded losses: low + scale times the loss is the
    row's share of the metric, or of 1 less the metric for accuracy. None for other metrics."""
    if judged.task is Task.REGRESSION or metric not in (Metric.ACCURACY, Metric.BRIER, Metric.EXPECTED_COST):
        return None
    rows = _per_row(metric, judged)
    if rows is None:
        return None
    if metric is Metric.ACCURACY:
        return 1 - rows, 0.0, 1.0
    if metric is Metric.BRIER:
        scale = 1.0 if judged.task is Task.BINARY else 2.0
        return rows / scale, 0.0, scale
    costs = judged.costs
    each = [costs.false_positive, costs.false_negative, costs.true_positive, costs.true_negative] if costs else [0.0]
    low, scale = min(each), max(each) - min(each)
    return ((rows - low) / scale, low, scale) if scale > 0 else None


def cost_of_rows(judged: LabelledPredictions) -> Array:
    """What each row's decision costs, shape (rows,). Raises Unmeasured without costs or for another task than binary."""
    costs, y_true = judged.costs, np.asarray(judged.y_true, dtype=np.int64)
    if costs is None or judged.task is not Task.BINARY:
        raise Unmeasured("expected_cost needs objective.costs and a binary task", field="objective.costs")
    decided, really = judged.decisions() == judged.positive, y_true == judged.positive
    table = np.array([[costs.true_negative, costs.false_negative], [costs.false_positive, costs.true_positive]])
    return np.asarray(table[decided.astype(int), really.astype(int)], dtype=np.float64)


def _counts(metric: Metric, judged: LabelledPredictions) -> Statistic:
    """Metrics of a confusion matrix: of the positive class for binary tasks, else averaged over classes."""
    if metric not in (Metric.BALANCED_ACCURACY, Metric.F1, Metric.PRECISION, Metric.RECALL):
        raise Unmeasured(f"{metric.value} is no metric of classification")
    y_true, decided = np.asarray(judged.y_true, dtype=np.int64), judged.decisions()
    classes = judged.scores.shape[1]
    cell = y_true * classes + decided

    def value(weights: Array) -> float:
        matrix = np.bincount(cell, weights, classes * classes).reshape(classes, classes)
        right, real, said = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
        if metric is Metric.BALANCED_ACCURACY:
            return float(np.mean(right[real > 0] / real[real > 0]))
        above = {Metric.F1: 2 * right, Metric.PRECISION: right, Metric.RECALL: right}[metric]
        below = {Metric.F1: real + said, Metric.PRECISION: said, Metric.RECALL: real}[metric]
        each = np.divide(above, below, out=np.zeros(classes), where=below > 0)
        return float(each[judged.positive] if judged.task is Task.BINARY else each[real + said > 0].mean())

    return value


def _auc(judged: LabelledPredictions) -> Statistic:
    """Area under the ROC curve, ties counting half; one against the rest, averaged, for several classes."""
    y_true = np.asarray(judged.y_true, dtype=np.int64)
    if judged.task is Task.BINARY:
        return _auc_of(judged.scores[:, judged.positive], y_true == judged.positive)
    each = [_auc_of(judged.scores[:, k], y_true == k) for k in range(judged.scores.shape[1])]
    return lambda weights: float(np.mean([one(weights) for one in each]))


def _auc_of(score: Array, positive: NDArray[np.bool_]) -> Statistic:
    order = np.argsort(score, kind="stable")
    ranked, is_positive = score[order], positive[order].astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    tied = len(starts) < len(ranked)

    def value(weights: Array) -> float:
        w = weights[order]
        above = w * is_positive
        if tied:
            w, above = np.add.reduceat(w, starts), np.add.reduceat(above, starts)
        below = w - above
        passed = np.cumsum(below)
        pairs = above.sum() * passed[-1]
        if pairs == 0:
            return float("nan")
        return (total(above, passed) - (total(above, below) / 2 if tied else 0.0)) / float(pairs)

    return value


def _average_precision(judged: LabelledPredictions) -> Statistic:
    """Precision at each distinct score, weighted by the recall it adds; no interpolation."""
    if judged.task is not Task.BINARY:
        raise Unmeasured("average_precision needs a binary task")
    score = judged.scores[:, judged.positive]
    order = np.argsort(-score, kind="stable")
    ranked, positive = score[order], (np.asarray(judged.y_true)[order] == judged.positive).astype(np.float64)
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])

    def value(weights: Array) -> float:
        w = weights[order]
        found, said = np.add.reduceat(w * positive, starts), np.add.reduceat(w, starts)
        if found.sum() == 0:
            return float("nan")
        above = np.cumsum(said)
        precision = np.divide(np.cumsum(found), above, out=np.zeros(len(above)), where=above > 0)
        return total(precision, found) / float(found.sum())

    return value


def losses(judged: LabelledPredictions) -> tuple[str, Array]:
    """(its name, a bounded loss per row): the Brier score (halved for several classes), or the rank of the error.

    Ranks run from 0 to 1 with mean 0.5, whatever the tail of the errors.
    """
    rows = np.arange(len(judged.y_true))
    if judged.task is Task.REGRESSION:
        from scipy.stats import rankdata

        ranks = rankdata(np.abs(judged.scores[:, 0] - judged.y_true))
        return "rank of the error", np.asarray((ranks - 0.5) / max(len(rows), 1), dtype=np.float64)
    y_true = np.asarray(judged.y_true, dtype=np.int64)
    return "Brier score", np.asarray(((judged.scores - np.eye(judged.scores.shape[1])[y_true]) ** 2).sum(axis=1) / 2)
