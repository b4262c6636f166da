"""Models a person can read, fitted to be the candidate's challengers. The only file that knows interpret."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract
from modelmark.domain.metrics import Task
from modelmark.gates.common import baselines

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

EBM: Final = "the explainable boosting machine"
LINEAR: Final = "the linear model"
_UPDATES: Final = 12_000  # of shape functions, over all columns: with early stopping, enough on Adult
_PER_ROW: Final = 6  # of them, beside 3,000: few rows are learned, and stop being learned from, in fewer steps


def challengers(
    contract: Contract, train: pd.DataFrame, y_true: Any, holdout: pd.DataFrame, most: int
) -> dict[str, Array]:
    """Name -> scores on the holdout, shaped like the model's. most: training rows of the boosting machine, seeded."""
    return {
        EBM: _boosting(contract, train, y_true, holdout, most),
        LINEAR: baselines.linear(contract, train, y_true, holdout),
    }


def _boosting(contract: Contract, train: pd.DataFrame, y_true: Any, holdout: pd.DataFrame, most: int) -> Array:
    """Boosted shape functions with a few pairwise terms (Nori et al. 2019); fewer bags than usual bound the time."""
    from interpret.glassbox import ExplainableBoostingClassifier, ExplainableBoostingRegressor

    regression = contract.model.task is Task.REGRESSION
    known = np.flatnonzero(np.isfinite(y_true) if regression else y_true >= 0)
    if len(known) > most:
        known = np.sort(np.random.default_rng(0).choice(known, most, replace=False))
    kinds = ["nominal" if i.nominal else "continuous" for i in contract.inputs]
    pairs = 0 if contract.model.task is Task.MULTICLASS else 5
    updates = min(_UPDATES, 3000 + _PER_ROW * len(known))
    kind: Any = ExplainableBoostingRegressor if regression else ExplainableBoostingClassifier
    model = kind(
        feature_types=kinds,
        interactions=pairs,
        outer_bags=4,
        learning_rate=0.04 if updates == _UPDATES else 0.08,
        max_rounds=int(np.clip(updates // len(kinds), 100, 2000)),
        n_jobs=1,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a rare category is no news here
        model.fit(_columns(contract, train.iloc[known]), np.asarray(y_true)[known])
        if regression:
            return np.asarray(model.predict(_columns(contract, holdout)), dtype=np.float64)[:, None]
        scores = np.zeros((len(holdout), len(contract.outputs.classes)))
        scores[:, model.classes_] = model.predict_proba(_columns(contract, holdout))
    return scores


def _columns(contract: Contract, frame: pd.DataFrame) -> Array:
    """As interpret takes mixed columns: one array of objects, null as NaN in numbers and as a text of its own."""
    found = np.empty((len(frame), len(contract.inputs)), dtype=object)
    for place, item in enumerate(contract.inputs):
        column = frame[item.name]
        if item.nominal:
            found[:, place] = as_texts(column, item.categories or ()).fillna("").to_numpy()
        else:
            found[:, place] = as_numbers(column)
    return found
