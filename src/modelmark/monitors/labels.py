"""Labelled rows of the journal as truth and scores that metrics can judge."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from modelmark.domain.classes import class_text, positive_index
from modelmark.domain.contract import Contract
from modelmark.domain.metrics import Task
from modelmark.stats.metrics import LabelledPredictions

ANSWERED: Final = ("model", "previous_version")  # a constant or a person is not the version's doing


def labelled_predictions(contract: Contract, table: Any) -> LabelledPredictions | None:
    """None when no row has an answer of the model and a label of the contract. table: from `journal.tables.query.labelled`."""
    if not table.num_rows:
        return None
    rows = table.to_pandas()
    drawn_from = int(rows["drawn_from"].iloc[0]) if rows["drawn_from"].iloc[0] > len(rows) else 0
    rows = rows[rows["path"].isin(ANSWERED)]
    if contract.model.task is Task.REGRESSION:
        rows = rows[rows["value"].notna() & rows["label_value"].notna()]
        if rows.empty:
            return None
        scores = rows["value"].to_numpy(float).reshape(-1, 1)
        y_true = rows["label_value"].to_numpy(float)
        return LabelledPredictions(task=Task.REGRESSION, y_true=y_true, scores=scores, drawn_from=drawn_from)
    classes = contract.outputs.classes
    place = {class_text(value): i for i, value in enumerate(classes)}
    rows = rows[rows["score"].notna() & rows["label"].isin(list(place))]
    if rows.empty:
        return None
    y_true = rows["label"].map(place).to_numpy(np.int64)
    if contract.model.task is Task.MULTICLASS:
        scores = np.array([list(each) for each in rows["probabilities"]], dtype=np.float64)
        return LabelledPredictions(task=Task.MULTICLASS, y_true=y_true, scores=scores, drawn_from=drawn_from)
    positive = positive_index(classes, contract.outputs.positive)
    score = rows["score"].to_numpy(float)
    return LabelledPredictions(
        task=Task.BINARY,
        y_true=y_true,
        scores=np.stack([1 - score, score] if positive == 1 else [score, 1 - score], axis=1),
        positive=positive,
        threshold=contract.outputs.threshold,
        costs=contract.objective.costs,
        drawn_from=drawn_from,
    )
