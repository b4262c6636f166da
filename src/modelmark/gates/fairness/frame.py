"""Rates by group as fairlearn counts them. The only file that knows fairlearn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from modelmark.stats.fairness import Decided


def rates_by_group(decided: Decided, names: tuple[str, ...]) -> Mapping[str, Mapping[str, float]]:
    """Group -> rate -> value, by fairlearn's MetricFrame; a rate nobody could be counted for is 0 there."""
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate
    from sklearn.metrics import precision_score

    metrics = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
        "precision": partial(precision_score, zero_division=0.0),
    }
    cells, counts = np.unique(np.column_stack([decided.group, decided.real, decided.said]), axis=0, return_counts=True)
    group, real, said = cells.T  # rows of one cell are alike: weighing them gives the same rates, whatever their number
    frame: Any = MetricFrame(
        metrics=metrics,
        y_true=real,
        y_pred=said,
        sensitive_features=group,
        sample_params={name: {"sample_weight": counts} for name in metrics},
    )
    return {names[int(code)]: row.to_dict() for code, row in frame.by_group.iterrows()}
