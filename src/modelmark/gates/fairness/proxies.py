"""How well a sensitive column can be guessed from the inputs that are not it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Contract, Input
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Metric, Task
from modelmark.gates.common.baselines import Encoder
from modelmark.gates.fairness.groups import Groups
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.metrics import LabelledPredictions, measure, statistic

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_ROWS: Final = 10_000  # of each table: enough to find a proxy, and bounds the time
_FEWEST: Final = 10  # rows of a group in each table: one row alone is missing from every third resample
_GROUPS: Final = 8  # commonest in both tables: rarer ones cannot be learned from so few rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """together: ROC AUC of guessing the column from all other inputs. alone: of each single one, best first."""

    together: Interval
    alone: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """Rows whose group stands in both tables. learn, judge: groups of train and of the holdout, 0..groups-1."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    learn: NDArray[np.int64]
    judge: NDArray[np.int64]
    groups: int


def scan(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame, sides: tuple[Groups, Groups]) -> Proxies:
    """sides: the column's groups in train and in the holdout, of the same names.

    Learned on train, measured on the holdout; several groups (the eight commonest) are told one against the rest,
    averaged.
    """
    from sklearn.linear_model import Ridge

    here, there = (_sample(len(table)) for table in (train, holdout))
    train, holdout = train.iloc[here], holdout.iloc[there]
    codes, y_true = sides[0].code[here], sides[1].code[there]
    both = _common(codes, y_true)
    others = tuple(i for i in contract.inputs if i.name != sides[0].column and i.name in train and i.name in holdout)
    if len(both) < 2:
        raise NotEnoughData(f"fewer than two groups have {_FEWEST} rows in both tables")
    if not others:
        raise NotEnoughData("there is nothing to guess it from")
    seen, kept = np.isin(codes, both), np.isin(y_true, both)
    judge = np.searchsorted(both, y_true[kept])
    both_sides = _Sides(
        train=train[seen],
        holdout=holdout[kept],
        learn=np.searchsorted(both, codes[seen]),
        judge=judge,
        groups=len(both),
    )
    alone = {i.name: measure(Metric.ROC_AUC, _told((i,), _stump(), both_sides)) for i in others}
    whole = _told(others, Ridge(), both_sides)
    found = interval(statistic(Metric.ROC_AUC, whole), len(judge), times=200)
    return Proxies(together=found, alone=tuple(sorted(alone.items(), key=lambda item: -item[1])))


def _common(train: NDArray[np.int64], holdout: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups with rows enough in both tables, ascending: the commonest, by the table they are rarer in."""
    width = int(max(train.max(), holdout.max())) + 1
    fewer = np.minimum(np.bincount(train, minlength=width), np.bincount(holdout, minlength=width))
    largest = np.argsort(-fewer, kind="stable")[:_GROUPS]
    return np.sort(largest[fewer[largest] >= _FEWEST]).astype(np.int64)


def _told(inputs: tuple[Input, ...], model: Any, sides: _Sides) -> LabelledPredictions:
    """Least squares on indicators of the groups, whose ranks are all that ROC AUC looks at."""
    encode = Encoder(inputs, sides.train)
    model.fit(encode(sides.train), np.eye(sides.groups)[sides.learn])
    scores = np.asarray(model.predict(encode(sides.holdout)), dtype=np.float64)
    task = Task.BINARY if sides.groups == 2 else Task.MULTICLASS
    return LabelledPredictions(task=task, y_true=sides.judge, scores=scores)


def _stump() -> Any:
    from sklearn.tree import DecisionTreeRegressor

    return DecisionTreeRegressor(max_leaf_nodes=32, min_samples_leaf=5, random_state=0)


def _sample(rows: int) -> NDArray[np.int64]:
    every = np.arange(rows, dtype=np.int64)
    return every if rows <= _ROWS else np.sort(np.random.default_rng(0).choice(every, _ROWS, replace=False))
