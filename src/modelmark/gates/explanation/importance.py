"""What the holdout loses without a column, and how the answer moves with it: permutation importance, dependence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelmark.contract.dtypes import with_columns
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract, DataType
from modelmark.domain.metrics import LOSSES, Task
from modelmark.gates.case import Array, Case, score
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.metrics import Statistic, judged, statistic

if TYPE_CHECKING:
    import pandas as pd

_ROWS: Final = 2000  # of the holdout, seeded: enough for an interval a person can use
_LINES: Final = 200  # rows behind a dependence curve
_POINTS: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Holdout rows with a known truth and an answer."""

    frame: pd.DataFrame
    y_true: Any
    scores: Array


def sample(case: Case, most: int = _ROWS) -> Sampled:
    y_true = case.y_true
    known = np.isfinite(y_true) if case.contract.model.task is Task.REGRESSION else y_true >= 0
    rows = np.flatnonzero(known & np.isfinite(case.scores).all(axis=1))
    if len(rows) > most:
        rows = np.sort(np.random.default_rng(1).choice(rows, most, replace=False))
    return Sampled(frame=case.holdout.iloc[rows].reset_index(drop=True), y_true=y_true[rows], scores=case.scores[rows])


def permuted(case: Case, rows: Sampled, confidence: float) -> Iterator[tuple[str, Interval]]:
    """(column, what the objective loses when its values are shuffled), intervals Bonferroni over columns.

    Source: Fisher, Rudin & Dominici 2019, JMLR 20:177. Correlated columns stand in for each other here.
    """
    metric, names = case.contract.objective.metric, [item.name for item in case.contract.inputs]
    sign = -1.0 if metric in LOSSES else 1.0
    usual = statistic(metric, judged(case.contract, rows.y_true, rows.scores))
    for place, name in enumerate(names):
        order = np.random.default_rng(place).permutation(len(rows.frame))
        turned = with_columns(rows.frame, {name: rows.frame[name].to_numpy()[order]})
        scores = score(case.predictor, turned, case.contract, set())
        kept = np.where(np.isfinite(scores), scores, rows.scores)  # a refused row tells nothing of the column
        without = statistic(metric, judged(case.contract, rows.y_true, kept))
        each = 1 - (1 - confidence) / len(names)

        def lost(weights: Array, without: Statistic = without) -> float:
            return sign * (usual(weights) - without(weights))

        yield name, interval(lost, len(rows.frame), confidence=each, times=300)


def dependence(
    case: Case, rows: Sampled, column: str, output: int
) -> tuple[int, list[tuple[Any, float, float, float]]]:
    """(rows, (value, mean answer, low, high) of each value): the column set to the same value in every row."""
    frame = rows.frame.iloc[:_LINES]
    values = _values(case.contract, case.train, column)
    found = []
    for value in values:
        said = score(case.predictor, with_columns(frame, {column: value}), case.contract, set())[:, output]
        said = said[np.isfinite(said)]
        if len(said) > 1:
            reach = 1.96 * float(said.std(ddof=1)) / len(said) ** 0.5
            found.append((value, float(said.mean()), float(said.mean()) - reach, float(said.mean()) + reach))
    return len(frame), found


def _values(contract: Contract, train: pd.DataFrame, column: str) -> Sequence[Any]:
    item = next(i for i in contract.inputs if i.name == column)
    if item.nominal:
        common = as_texts(train[column], item.categories or ()).value_counts().index[:_POINTS]
        return [int(v) if item.coded else str(v) for v in common]
    numbers = as_numbers(train[column])
    if not np.isfinite(numbers).any():
        return []
    quantiles = np.quantile(numbers[np.isfinite(numbers)], np.linspace(0.02, 0.98, _POINTS))
    if item.type in (DataType.INTEGER, DataType.BOOLEAN):
        quantiles = np.round(quantiles)
    return sorted({float(v) for v in quantiles})
