"""A quick model of our own, to ask of the tables what the candidate cannot tell: is the split honest, do labels agree?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract, Input
from modelmark.domain.metrics import Task

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Truth = NDArray[np.int64] | Array
_CATEGORIES: Final = 200
_COLUMNS: Final = 100
#: Of boosting: rounds, and trees over all classes.
_ROUNDS, _LEAST_ROUNDS, _TREES = 60, 12, 240


def matrix(inputs: Sequence[Input], frame: pd.DataFrame) -> Array:
    """Shape (rows, inputs): numbers as they are, texts as ranks of their frequency, NaN for null."""
    return np.column_stack([_column(frame, item) for item in inputs if item.name in frame])


def _column(frame: pd.DataFrame, item: Input) -> Array:
    if not item.nominal:
        return as_numbers(frame[item.name])
    texts = as_texts(frame[item.name])
    rank = {name: i for i, name in enumerate(texts.value_counts().index[:_CATEGORIES])}
    return np.asarray(texts.map(rank).fillna(_CATEGORIES).to_numpy(), dtype=np.float64)


def scores(contract: Contract, train: Array, y_true: Truth, ask: Array) -> Array:
    """Gradient boosting: scores shaped like the candidate's, (rows, classes) or (rows, 1).

    It stays quick whatever the table: of very many columns it learns the hundred that tell the truth best, each by itself,
    and of many classes fewer rounds, since each takes a tree a class.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    regression = contract.model.task is Task.REGRESSION
    kind = HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier
    rounds = _ROUNDS if regression else max(_LEAST_ROUNDS, min(_ROUNDS, _TREES // len(contract.outputs.classes)))
    model = kind(max_iter=rounds, max_leaf_nodes=31, early_stopping=False, random_state=0)
    known = np.isfinite(y_true) if regression else np.asarray(y_true) >= 0
    if not regression and len(np.unique(y_true[known])) < 2:
        return np.tile(np.eye(len(contract.outputs.classes))[int(y_true[known][0])], (len(ask), 1))
    kept = _telling(train[known], np.asarray(y_true[known], dtype=np.float64), regression)
    train, ask = train[:, kept], ask[:, kept]
    with threadpool_limits(1):  # gates run side by side; threads that wait for each other would double the time
        model.fit(train[known], y_true[known])
        if regression:
            return np.asarray(model.predict(ask), dtype=np.float64)[:, None]
        found = np.zeros((len(ask), len(contract.outputs.classes)))
        found[:, model.classes_] = model.predict_proba(ask)
    return found


def _telling(train: Array, y_true: Array, regression: bool) -> NDArray[np.int64]:
    """Places of the columns that tell the truth best: by the spread of class means, or by correlation; NaN counts as the mean."""
    if train.shape[1] <= _COLUMNS:
        return np.arange(train.shape[1])
    mean = np.nanmean(train, axis=0, where=np.isfinite(train))
    centred = np.where(np.isfinite(train), train - mean, 0.0)
    spread = np.maximum((centred**2).sum(axis=0), 1e-300)
    if regression:
        told = (centred * (y_true - y_true.mean())[:, None]).sum(axis=0) ** 2 / spread
    else:
        belongs = np.asarray(y_true[:, None] == np.unique(y_true), dtype=np.float64)
        told = ((belongs.T @ centred) ** 2 / belongs.sum(axis=0)[:, None]).sum(axis=0) / spread
    return np.sort(np.argsort(-told, kind="stable")[:_COLUMNS])
