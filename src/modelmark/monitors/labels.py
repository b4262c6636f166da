"""Labelled rows of the journal as truth and scores that metrics can judge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.classes import class_text, positive_of
from modelmark.domain.contract import Contract
from modelmark.domain.metrics import Task
from modelmark.stats.metrics import Array, LabelledPredictions, judged

if TYPE_CHECKING:
    import pandas as pd

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
        return judged(contract, y_true, scores, drawn_from=drawn_from, units=_requests(rows))
    classes = contract.outputs.classes
    place = {class_text(value): i for i, value in enumerate(classes)}
    rows = rows[rows["score"].notna() & rows["label"].isin(list(place))]
    if rows.empty:
        return None
    y_true = rows["label"].map(place).to_numpy(np.int64)
    if contract.model.task is Task.MULTICLASS:
        scores = np.array([list(each) for each in rows["probabilities"]], dtype=np.float64)
        return judged(contract, y_true, scores, drawn_from=drawn_from, units=_requests(rows))
    score = rows["score"].to_numpy(float)
    first = positive_of(contract) == 0
    return judged(
        contract,
        y_true,
        np.stack([score, 1 - score] if first else [1 - score, score], axis=1),
        drawn_from=drawn_from,
        units=_requests(rows),
    )


def _requests(rows: pd.DataFrame) -> NDArray[np.int64] | None:
    """Positions 0..k-1 of the request that each row came in; None where each came alone. Rows of one request hang
    together: they are about one customer, or one moment. Those of a table that was answered whole do not."""
    ids = rows["id"].where(rows["micros"] > 0, rows["id"] + "/" + rows["row"].astype(str))
    units = np.unique(ids.to_numpy(str), return_inverse=True)[1].astype(np.int64)
    return units if units.max() + 1 < len(rows) else None


def scores_of(contract: Contract, table: Any) -> Array | None:
    """What the model answered, in the order of the contract's classes. table: with score, value and probabilities, of
    `journal.tables.answers`."""
    rows = table.to_pandas() if table.num_rows else None
    if rows is None:
        return None
    if contract.model.task is Task.REGRESSION:
        found = rows["value"].dropna().to_numpy(float).reshape(-1, 1)
    elif contract.model.task is Task.MULTICLASS:
        found = np.array([list(each) for each in rows["probabilities"].dropna()], dtype=np.float64)
    else:
        score = rows["score"].dropna().to_numpy(float)
        first = positive_of(contract) == 0
        found = np.stack([score, 1 - score] if first else [1 - score, score], axis=1)
    return found if len(found) else None
