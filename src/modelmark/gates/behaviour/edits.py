"""From a behavioural test and the holdout to edited rows. Rows and edits as requests send them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelmark.contract.conditions import holds
from modelmark.contract.dtypes import with_columns
from modelmark.contract.table import Violation, as_numbers, as_texts, check_table, rows_of
from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.gates.common.asking import Row

if TYPE_CHECKING:
    import pandas as pd

_VALUES: Final = 20  # most values tried per row
_QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
_STEPS: Final = (0.1, 0.5, 1.0)  # of the interquartile range


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """One row under one test. place: in the holdout. before is compared with each of after, which are in order."""

    place: int
    before: Row
    after: tuple[Row, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRows:
    """What edits are made of. good: places of holdout rows that keep the contract."""

    contract: Contract
    train: pd.DataFrame
    holdout: pd.DataFrame
    good: Sequence[int]

    def input(self, name: str) -> Input:
        return next(item for item in self.contract.inputs if item.name == name)


def edit(test: Behaviour, source: EditRows, most: int) -> list[Edited]:
    """At most `most` seeded rows that the test selects and can edit within the contract, in holdout order."""
    places = np.array(source.good, dtype=np.int64)
    for condition in test.where:
        places = places[holds(condition, source.holdout[condition.column].iloc[places])]
    if len(places) > most:
        places = np.sort(np.random.default_rng(0).choice(places, most, replace=False))
    rows = rows_of(source.holdout.iloc[places], source.contract)
    variants = _KINDS[test.kind](test, source)
    found = [(int(place), *variants(row)) for place, row in zip(places, rows, strict=True)]
    return [Edited(place=p, before=before, after=tuple(after)) for p, before, after in found if after]


#: (the row to compare with, its edits); no edits: the row is not tested.
Variants = Callable[[Row], tuple[Row, list[Row]]]


def _monotone(test: Behaviour, source: EditRows) -> Variants:
    item = source.input(test.column)
    steps = sorted(test.steps or _default_steps(source, item))

    def variants(row: Row) -> tuple[Row, list[Row]]:
        if row[item.name] is None:
            return row, []
        moved = (_plus(row[item.name], step) for step in steps)
        return row, [{**row, item.name: value} for value in moved if _within(value, item)]

    return variants


def _default_steps(source: EditRows, item: Input) -> list[float]:
    values = as_numbers(source.train[item.name])
    low, high = np.nanquantile(values, [0.25, 0.75]) if np.isfinite(values).any() else (0.0, 1.0)
    spread = float(high - low) or float(np.nanstd(values)) or 1.0
    if item.type is DataType.INTEGER:
        return sorted({float(max(1, round(spread * share))) for share in _STEPS})
    return [spread * share for share in _STEPS]


def _invariant(test: Behaviour, source: EditRows) -> Variants:
    item = source.input(test.column)
    values = list(test.values or _default_values(source, item))[:_VALUES]
    return lambda row: (row, [{**row, item.name: v} for v in values if v != row[item.name]])


def _default_values(source: EditRows, item: Input) -> list[Any]:
    if item.categories is not None:
        order = np.random.default_rng(0).permutation(len(item.categories))
        return [item.known_values[i] for i in order]
    if item.type is DataType.BOOLEAN:
        return [False, True]
    column = source.train[item.name].dropna()
    if item.type is DataType.STRING:
        return list(as_texts(column).value_counts().index[:_VALUES])
    found = [float(v) for v in np.quantile(as_numbers(column), _QUANTILES)] if len(column) else []
    return sorted({float(round(v)) for v in found} if item.type is DataType.INTEGER else set(found))


def _directional(test: Behaviour, source: EditRows) -> Variants:
    items = {name: source.input(name) for name in test.add}

    def variants(row: Row) -> tuple[Row, list[Row]]:
        if any(row[name] is None for name in test.add):
            return row, []
        added = {name: _plus(row[name], amount) for name, amount in test.add.items()}
        if not all(_within(value, items[name]) for name, value in added.items()):
            return row, []
        edited = {**row, **test.change, **added}
        return row, [edited] if edited != row else []

    return variants


def _unit_change(test: Behaviour, source: EditRows) -> Variants:
    item = source.input(test.column)
    other = item if test.twin is None else source.input(test.twin)

    def variants(row: Row) -> tuple[Row, list[Row]]:
        value = row[item.name]
        if value is None:
            return row, []
        converted = value * test.factor + test.offset
        converted = float(round(converted)) if other.type is DataType.INTEGER else converted
        if test.twin is None:
            return row, [{**row, item.name: converted}] if converted != value else []
        return {**row, other.name: None}, [{**row, item.name: None, other.name: converted}]

    return variants


def _null_swap(test: Behaviour, source: EditRows) -> Variants:
    name = test.column

    def variants(row: Row) -> tuple[Row, list[Row]]:
        before = {**row, name: test.values[0]} if test.values else row
        return before, [{**row, name: None}] if before[name] is not None else []

    return variants


_KINDS: Final[Mapping[BehaviourKind, Callable[[Behaviour, EditRows], Variants]]] = {
    BehaviourKind.MONOTONE: _monotone,
    BehaviourKind.INVARIANT: _invariant,
    BehaviourKind.DIRECTIONAL: _directional,
    BehaviourKind.UNIT_CHANGE: _unit_change,
    BehaviourKind.NULL_SWAP: _null_swap,
}


def _plus(value: Any, amount: float) -> float:
    moved = value + amount
    return int(moved) if isinstance(value, int) and float(amount).is_integer() else moved


def _within(value: float, item: Input) -> bool:
    return (item.minimum is None or value >= item.minimum) and (item.maximum is None or value <= item.maximum)


def noticed(rows: Sequence[Row], column: str, contract: Contract) -> set[int]:
    """Places of rows that the contract refuses, flags or imputes because of one column."""
    return {place for found in _violations(rows, contract) if found.column == column for place in found.rows}


def _violations(rows: Sequence[Row], contract: Contract) -> Iterator[Violation]:
    import pandas as pd

    table = with_columns(pd.DataFrame(list(rows)), {contract.data.target: None})
    yield from check_table(table, contract)
