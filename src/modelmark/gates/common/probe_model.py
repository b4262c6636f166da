"""A quick model of our own, to ask of the tables what the candidate cannot tell: is the split honest, do labels agree?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.metrics import Task

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Truth = NDArray[np.int64] | Array
_CATEGORIES: Final = 200


def matrix(inputs: Sequence[Input], frame: pd.DataFrame) -> Array:
    """Shape (rows, inputs): numbers as they are, texts as ranks of their frequency, NaN for null."""
    return np.column_stack([_column(frame, item) for item in inputs if item.name in frame])


def _column(frame: pd.DataFrame, item: Input) -> Array:
    if item.type not in (DataType.CATEGORY, DataType.STRING):
        return as_numbers(frame[item.name])
    texts = as_texts(frame[item.name])
    rank = {name: i for i, name in enumerate(texts.value_counts().index[:_CATEGORIES])}
    return np.asarray(texts.map(rank).fillna(_CATEGORIES).to_numpy(), dtype=np.float64)


def scores(contract: Contract, train: Array, y_true: Truth, ask: Array) -> Array:
    """Gradient boosting: scores shaped like the candidate's, (rows, classes) or (rows, 1)."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    regression = contract.model.task is Task.REGRESSION
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    model = kind(max_iter=60, max_leaf_nodes=31, early_stopping=False, random_state=0)
    known = np.isfinite(y_true) if regression else np.asarray(y_true) >= 0
    if not regression and len(np.unique(y_true[known])) < 2:
        return np.tile(np.eye(len(contract.outputs.classes))[int(y_true[known][0])], (len(ask), 1))
    with threadpool_limits(1):  # gates run side by side; threads that wait for each other would double the time
        model.fit(train[known], y_true[known])
        if regression:
            return np.asarray(model.predict(ask), dtype=np.float64)[:, None]
        found = np.zeros((len(ask), len(contract.outputs.classes)))
        found[:, model.classes_] = model.predict_proba(ask)
    return found
