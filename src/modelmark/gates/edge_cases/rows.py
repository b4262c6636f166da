"""Odd rows that the data suggest, all within the contract: rare categories, corners, far rows, patterns of nulls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from modelmark.contract.table import as_numbers, as_texts, rows_of
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.gates.common.edge_inputs import Odd, Promise, Row

if TYPE_CHECKING:
    import pandas as pd

_RARE: Final = 0.005  # of the training rows
_MOST: Final = 100  # of each family
_CORNERS: Final = 64
_FAR: Final = 20
_FAR_ROWS: Final = 20_000
_PATTERNS: Final = 50


def odd_rows(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame, good: Sequence[int]) -> Iterator[Odd]:
    """Every family. good: places of holdout rows that keep the contract, the first of them the most usual."""
    usual = rows_of(holdout.iloc[list(good[:1])], contract)[0]
    yield from _rare_categories(contract, train, usual)
    yield from _corners(contract, train, usual)
    yield from _far(contract, train, holdout, good)
    yield from _null_patterns(contract, train, usual)


def _rare_categories(contract: Contract, train: pd.DataFrame, usual: Row) -> Iterator[Odd]:
    """Known categories that training hardly saw, or never."""
    found = []
    for item in contract.inputs:
        if item.categories:
            counts = as_texts(train[item.name], item.categories).value_counts()
            shares = [(int(counts.get(str(value), 0)) / max(len(train), 1), value) for value in item.known_values]
            found += [(share, item.name, value) for share, value in shares if share < _RARE]
    for share, name, value in sorted(found, key=lambda one: one[0])[:_MOST]:
        label = f"rare category: {name}={value!r} ({share:.2%} of training)"
        yield Odd(name=label, rows=[{**usual, name: value}], promise=Promise.ANSWER)


def _corners(contract: Contract, train: pd.DataFrame, usual: Row) -> Iterator[Odd]:
    """All at their minimum, all at their maximum, and seeded mixtures, with seeded categories."""
    ends = {item.name: _ends(item, train[item.name]) for item in contract.numeric() if not item.coded}
    if len(ends) < 2:
        return
    rng = np.random.default_rng(0)
    picks = [[0] * len(ends), [1] * len(ends)]
    picks += [list(pick) for pick in rng.integers(0, 2, (min(_CORNERS, 2 ** len(ends)) - 2, len(ends)))]
    kinds = [item for item in contract.inputs if item.categories]
    for number, pick in enumerate(picks):
        numbers = {name: pair[side] for (name, pair), side in zip(ends.items(), pick, strict=True)}
        chosen = {item.name: item.known_values[int(rng.integers(len(item.known_values)))] for item in kinds}
        label = ("all minima", "all maxima")[number] if number < 2 else f"mixture {number - 1}"
        yield Odd(name=f"joint extremes: {label}", rows=[{**usual, **numbers, **chosen}], promise=Promise.GUARDED)


def _ends(item: Input, column: pd.Series) -> tuple[Any, Any]:
    """The contract's bounds; where there is none, the training table's."""
    if item.type is DataType.BOOLEAN:
        return False, True
    known = as_numbers(column)
    known = known[np.isfinite(known)]
    low = item.minimum if item.minimum is not None else float(known.min()) if len(known) else 0.0
    high = item.maximum if item.maximum is not None else float(known.max()) if len(known) else max(low, 0.0)
    return (int(np.ceil(low)), int(np.floor(high))) if item.type is DataType.INTEGER else (float(low), float(high))


def _far(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame, good: Sequence[int]) -> Iterator[Odd]:
    """Real holdout rows that lie farthest from training, by the mean of robust distances over numbers."""
    names = [item.name for item in contract.inputs if item.quantity]
    if not names:
        return
    places = np.array(good)
    if len(places) > _FAR_ROWS:
        places = np.sort(np.random.default_rng(0).choice(places, _FAR_ROWS, replace=False))
    total = np.zeros(len(places))
    for name in names:
        known = as_numbers(train[name])
        low, middle, high = np.nanquantile(known, [0.25, 0.5, 0.75]) if np.isfinite(known).any() else (0.0, 0.0, 0.0)
        spread = high - low or float(np.nanstd(known)) or 1.0
        total += np.nan_to_num(np.abs(as_numbers(holdout[name].iloc[places]) - middle) / spread)
    farthest = places[np.argsort(-total, kind="stable")[:_FAR]]
    for place, row in zip(farthest, rows_of(holdout.iloc[farthest], contract), strict=True):
        yield Odd(name=f"far from training: holdout row {int(place):,}", rows=[row], promise=Promise.GUARDED)


def _null_patterns(contract: Contract, train: pd.DataFrame, usual: Row) -> Iterator[Odd]:
    """All nullable columns together, and the patterns that training shows, the most frequent first."""
    names = [item.name for item in contract.inputs if item.nullable]
    if not names:
        return
    counts = train[names].isna().value_counts()
    seen = [pattern if isinstance(pattern, tuple) else (pattern,) for pattern in counts.index[:_PATTERNS]]
    patterns = dict.fromkeys([(True,) * len(names), *(tuple(map(bool, pattern)) for pattern in seen)])
    for pattern in patterns:
        nulls = [name for name, null in zip(names, pattern, strict=True) if null]
        if nulls:
            label = f"nulls together: {', '.join(nulls[:6])}" + (
                f" and {len(nulls) - 6} more" if len(nulls) > 6 else ""
            )
            yield Odd(name=label, rows=[{**usual, **dict.fromkeys(nulls)}], promise=Promise.ANSWER)
