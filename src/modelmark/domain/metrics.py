"""What a model is asked, and by which metrics its answers are judged."""

from __future__ import annotations

from enum import StrEnum


class Task(StrEnum):
    """What kind of question the model answers."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Direction(StrEnum):
    """Whether more of a metric is better, or less."""

    MAXIMISE = "maximise"
    MINIMISE = "minimise"


class Metric(StrEnum):
    """The metrics an objective or a guardrail may name."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balanced_accuracy"
    ROC_AUC = "roc_auc"
    F1 = "f1"
    PRECISION = "precision"
    RECALL = "recall"
    LOG_LOSS = "log_loss"
    BRIER = "brier"
    EXPECTED_COST = "expected_cost"
    MAE = "mae"
    RMSE = "rmse"
    R2 = "r2"
    AVERAGE_PRECISION = "average_precision"
    PINBALL = "pinball"

    @property
    def title(self) -> str:  # type: ignore[override]  # shadows str.title, which nobody wants of a metric
        """As people write it."""
        return _TITLES.get(self.value, self.value.replace("_", " "))


_TITLES = {
    "roc_auc": "ROC AUC",
    "f1": "F1",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "brier": "Brier score",
    "pinball": "pinball loss",
}

#: Metrics of which less is better.
LOSSES: frozenset[Metric] = frozenset(
    {Metric.LOG_LOSS, Metric.BRIER, Metric.EXPECTED_COST, Metric.MAE, Metric.RMSE, Metric.PINBALL}
)

#: Losses in units of the target or of money: only their own value says which change of them is small.
UNSCALED: frozenset[Metric] = frozenset({Metric.MAE, Metric.RMSE, Metric.PINBALL, Metric.EXPECTED_COST})


def amount(metric: Metric, setting: float, value: float) -> float:
    """What a contract tolerates, in units of the metric. setting: as the contract has it, a share of `value` for a loss
    in units of the target or of money, else in units of the metric itself.

    >>> amount(Metric.ACCURACY, 0.05, 0.9), amount(Metric.RMSE, 0.05, 22.0)
    (0.05, 1.1)
    """
    return setting * abs(value) if metric in UNSCALED else setting
