"""Rows as they might have been: with noise, nulls, wrong units, or one field edited. Always inside the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.dtypes import with_columns
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import DataType, Input, Mutability

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]

_CANDIDATES: Final = 12  # values tried per numeric field: the quantiles of train
_CATEGORIES: Final = 20  # commonest values tried per text field


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A numeric input with what train says of it. spread: its standard deviation; low, high: where answers are due."""

    item: Input
    spread: float
    low: float
    high: float

    def fit(self, values: Array) -> Array:
        """Values of the field's type and range nearest to these."""
        inside = np.clip(values, self.low, self.high)
        whole = self.item.type is DataType.INTEGER
        return np.clip(np.round(inside), np.ceil(self.low), np.floor(self.high)) if whole else inside


def fields(inputs: Iterable[Input], train: pd.DataFrame) -> tuple[Field, ...]:
    """Numbers and integers that vary in train."""
    found = []
    for item in inputs:
        if not item.quantity or item.name not in train:
            continue
        values = as_numbers(train[item.name])
        values = values[np.isfinite(values)]
        if len(values) and values.std() > 0:
            low = values.min() if item.minimum is None else item.minimum
            high = values.max() if item.maximum is None else item.maximum
            found.append(Field(item=item, spread=float(values.std()), low=float(low), high=float(high)))
    return tuple(found)


def noisy(frame: pd.DataFrame, known: tuple[Field, ...], size: float, seed: int) -> pd.DataFrame:
    """Normal noise of `size` spreads on every numeric field at once; nulls stay nulls.

    Whole numbers are rounded up or down by chance, so that noise below a half moves as many of them as its size says,
    and not none.
    """
    rng = np.random.default_rng(seed)
    changed = {}
    for one in known:
        values = as_numbers(frame[one.item.name])
        moved = values + rng.normal(0, size * one.spread, len(values))
        if one.item.type is DataType.INTEGER:
            moved = np.floor(moved + rng.random(len(values)))
        changed[one.item.name] = np.where(np.isfinite(values), one.fit(moved), np.nan)
    return with_columns(frame, changed)


def moved_share(frame: pd.DataFrame, copy: pd.DataFrame, known: tuple[Field, ...]) -> float:
    """Share of rows in which a numeric field has another value."""
    names = [one.item.name for one in known]
    pairs = [(as_numbers(frame[name]), as_numbers(copy[name])) for name in names]
    return float(np.mean(np.any([np.isfinite(a) & (a != b) for a, b in pairs], axis=0)))


def exchanged(frame: pd.DataFrame, inputs: Iterable[Input]) -> Iterator[pd.DataFrame]:
    """Rows with one field of another row, or without it where null is allowed: one table for each, changed rows alone."""
    rng = np.random.default_rng(0)
    for item in inputs:
        before = frame[item.name]
        after = before.iloc[rng.permutation(len(frame))].set_axis(frame.index)
        other = (before.astype(str) != after.astype(str)).to_numpy()
        if other.any():
            yield with_columns(frame, {item.name: after})[other]
        known = before.notna().to_numpy()
        if item.nullable and known.any():
            yield without(frame, item)[known]


def without(frame: pd.DataFrame, item: Input) -> pd.DataFrame:
    """One column all null."""
    import pandas as pd

    null = pd.Series([None] * len(frame), index=frame.index, dtype=object)
    return with_columns(frame, {item.name: null})


#: (what went wrong, in which unit the column must be for it, value sent)
_FAULTS: Final[tuple[tuple[str, str, Callable[[Array], Array]], ...]] = (
    ("1,000 times too large", "", lambda v: v * 1000),
    ("1,000 times too small", "", lambda v: v / 1000),
    ("Fahrenheit for Celsius", "°c celsius degc", lambda v: v * 9 / 5 + 32),
    ("Celsius for Fahrenheit", "°f fahrenheit degf", lambda v: (v - 32) * 5 / 9),
    ("cents for whole units", "eur usd gbp chf dollar euro $ €", lambda v: v * 100),
    ("pounds for kilograms", "kg", lambda v: v * 2.20462),
    ("inches for centimetres", "cm", lambda v: v / 2.54),
    ("miles for kilometres", "km km/h", lambda v: v * 0.621371),
    ("seconds for minutes", "min minutes", lambda v: v * 60),
    ("months for years", "years a yr", lambda v: v * 12),
)


def wrong_units(frame: pd.DataFrame, known: tuple[Field, ...]) -> Iterator[tuple[Field, str, pd.DataFrame, Any]]:
    """(field, fault, the rows with it, which rows it changed) of each fault the field's unit makes possible."""
    for one in known:
        values = as_numbers(frame[one.item.name])
        unit = (one.item.unit or "").lower().split("/")[0]
        for name, units, turn in _FAULTS:
            if units and unit not in units.split():
                continue
            sent = turn(values)
            if one.item.type is DataType.INTEGER:
                sent = np.round(sent)
            changed = np.isfinite(values) & (sent != values)
            if changed.any():
                yield one, name, with_columns(frame, {one.item.name: sent}), changed


def edits(item: Input, train: pd.DataFrame) -> list[Any]:
    """The values tried for one field: known categories, both booleans, or quantiles of train."""
    if item.type is DataType.BOOLEAN:
        return [0, 1]
    if item.nominal:
        common = as_texts(train[item.name], item.categories or ()).value_counts().index[:_CATEGORIES].tolist()
        kept = [c for c in common if item.categories is None or c in item.categories]
        return [int(c) for c in kept] if item.coded else kept
    known = fields((item,), train)
    if not known:
        return []
    values = as_numbers(train[item.name])
    quantiles = np.quantile(values[np.isfinite(values)], np.linspace(0, 1, _CANDIDATES))
    return sorted({float(v) for v in known[0].fit(quantiles)})


def allowed(item: Input, current: pd.Series, value: Any) -> NDArray[np.bool_]:
    """Which rows may move to this value under the field's mutability; staying is no edit."""
    if item.nominal:
        return np.asarray(current.notna() & (as_texts(current, item.categories or ()) != str(value)))
    numbers = as_numbers(current)
    if item.mutability is Mutability.INCREASE:
        return np.asarray(numbers < value)
    if item.mutability is Mutability.DECREASE:
        return np.asarray(numbers > value)
    return np.asarray(np.isfinite(numbers) & (numbers != value))
