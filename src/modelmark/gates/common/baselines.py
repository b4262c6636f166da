"""What costs less than the model: the answers a release must beat. Scores shaped like the model's."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Contract, Input
from modelmark.domain.metrics import Metric, Task

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
Truth = NDArray[np.int64] | Array

_ROWS: Final = 50_000  # enough for a linear model; more only costs time
_CATEGORIES: Final = 40


def constant(contract: Contract, train_truth: Truth, rows: int) -> tuple[str, Array]:
    """(its name, scores) of the best answer that ignores every input."""
    if contract.model.task is Task.REGRESSION:
        known = np.asarray(train_truth, dtype=np.float64)
        known = known[np.isfinite(known)]
        at = {Metric.MAE: 0.5, Metric.PINBALL: contract.objective.quantile}.get(contract.objective.metric)
        if at is None:
            return "the mean", np.full((rows, 1), known.mean())
        name = "the median" if at == 0.5 else f"the {at:g} quantile"
        return name, np.full((rows, 1), np.quantile(known, at))
    classes = len(contract.outputs.classes)
    counts = np.bincount(np.asarray(train_truth, dtype=np.int64)[train_truth >= 0], minlength=classes)
    shares = counts / counts.sum()
    costs = contract.objective.costs
    if contract.objective.metric is Metric.EXPECTED_COST and costs is not None:
        positive = positive_of(contract)
        rate = shares[positive]
        yes = rate * costs.true_positive + (1 - rate) * costs.false_positive
        no = rate * costs.false_negative + (1 - rate) * costs.true_negative
        shares = np.eye(classes)[positive if yes < no else 1 - positive]
        return "the cheaper fixed decision", np.tile(shares, (rows, 1))
    if contract.objective.metric in (Metric.LOG_LOSS, Metric.BRIER):
        return "the base rates", np.tile(shares, (rows, 1))
    if contract.objective.metric in (Metric.F1, Metric.PRECISION) and contract.model.task is Task.BINARY:
        # No is 0 by both of them, however rare the positive class.
        return "always yes", np.tile(np.eye(classes)[positive_of(contract)], (rows, 1))
    return "the majority class", np.tile(np.eye(classes)[shares.argmax()], (rows, 1))


def no_change(contract: Contract, train_truth: Truth, y_true: Truth) -> Array:
    """Scores that say: the same as the row before. Rows in time order; the first follows the last of train."""
    previous = np.r_[train_truth[-1:], y_true[:-1]]
    if contract.model.task is Task.REGRESSION:
        return np.asarray(previous, dtype=np.float64)[:, None]
    known = np.maximum(np.asarray(previous, dtype=np.int64), 0)
    return np.asarray(np.eye(len(contract.outputs.classes))[known], dtype=np.float64)


def linear(contract: Contract, train: pd.DataFrame, train_truth: Truth, holdout: pd.DataFrame) -> Array:
    """Scores of ridge or logistic regression on simply encoded columns."""
    from sklearn.linear_model import LogisticRegression, Ridge

    regression = contract.model.task is Task.REGRESSION
    y_true, usable = np.asarray(train_truth), _usable(train_truth, regression)
    encode = Encoder(contract.inputs, train.iloc[usable])
    model: Any = Ridge() if regression else LogisticRegression(max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline that has not quite converged is still a baseline
        known = encode(train.iloc[usable])
        varies = known.any(axis=0)  # what is 0 throughout, as where nothing is null, has no weight
        model.fit(known[:, varies], y_true[usable])
    asked = encode(holdout)[:, varies]
    if regression:
        return np.asarray(model.predict(asked), dtype=np.float64)[:, None]
    scores = np.zeros((len(holdout), len(contract.outputs.classes)))
    scores[:, model.classes_] = model.predict_proba(asked)
    return scores


def _usable(y_true: Truth, regression: bool) -> NDArray[np.int64]:
    """Rows with a known truth, in order; a seeded sample of many."""
    known = np.flatnonzero(np.isfinite(y_true) if regression else np.asarray(y_true) >= 0)
    return np.sort(np.random.default_rng(0).choice(known, _ROWS, replace=False)) if len(known) > _ROWS else known


class Encoder:
    """Numbers standardised with a null indicator, text one-hot by its commonest values; learned from one table."""

    def __init__(self, inputs: tuple[Input, ...], frame: pd.DataFrame) -> None:
        self.inputs = tuple(item for item in inputs if item.name in frame)
        self.known: dict[str, Any] = {}
        for item in self.inputs:
            if item.nominal:
                self.known[item.name] = (
                    as_texts(frame[item.name]).fillna("").value_counts().index[:_CATEGORIES].tolist()
                )
            else:
                values = as_numbers(frame[item.name])
                finite = values[np.isfinite(values)]
                centre = (float(finite.mean()), float(finite.std())) if len(finite) else (0.0, 0.0)
                self.known[item.name] = centre

    def __call__(self, frame: pd.DataFrame) -> Array:
        return np.hstack([self._column(frame, item) for item in self.inputs])

    def _column(self, frame: pd.DataFrame, item: Input) -> Array:
        known = self.known[item.name]
        if item.nominal:
            values = as_texts(frame[item.name]).fillna("").to_numpy(dtype=object)
            return np.asarray(np.column_stack([values == name for name in known]), dtype=np.float64)
        values = as_numbers(frame[item.name])
        missing = ~np.isfinite(values)
        scaled = np.where(missing, 0.0, (values - known[0]) / (known[1] or 1.0))
        return np.column_stack([np.clip(scaled, -10, 10), missing.astype(np.float64)])


def single_columns(
    contract: Contract, train: pd.DataFrame, train_truth: Truth, holdout: pd.DataFrame
) -> dict[str, Array]:
    """Holdout scores of a small tree that sees one input alone, per input: how a leak shows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    regression = contract.model.task is Task.REGRESSION
    usable = _usable(train_truth, regression)
    y_true, learned = np.asarray(train_truth)[usable], train.iloc[usable]
    found = {}
    for item in contract.inputs:
        encode = Encoder((item,), learned)
        kind = DecisionTreeRegressor if regression else DecisionTreeClassifier
        tree = kind(max_leaf_nodes=256 if regression else 32, min_samples_leaf=5, random_state=0)
        # As a tree would cast them itself; looking at every table of one column again is a third of its cost.
        known, asked = (encode(frame).astype(np.float32) for frame in (learned, holdout))
        tree.fit(known, y_true, check_input=False)
        if regression:
            found[item.name] = np.asarray(tree.predict(asked, check_input=False), dtype=np.float64)[:, None]
        else:
            scores = np.zeros((len(holdout), len(contract.outputs.classes)))
            scores[:, tree.classes_] = tree.predict_proba(asked, check_input=False)
            found[item.name] = scores
    return found
