"""Rows made up to tell two models apart: gaps, categories, texts, bounds, split points, far corners.

A holdout seldom holds what production sends next month. These rows are built from the contract and the training table alone,
inside what the contract lets through, so that a model and its conversion can be asked where they could differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.table import as_numbers, check_table, violating_rows
from modelmark.domain.contract import Contract, DataType, Input, Policy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: (family, which usual row is changed, new values by column).
Edit = tuple[str, int, dict[str, Any]]

#: Training rows that are changed, values looked at, and made-up rows of a family; cells of all rows together.
_USUAL: Final = 40
_SEEN: Final = 20_000
_MOST: Final = 300
_CELLS: Final = 60_000
_SPLITS: Final = 12
_ACCENTS: Final = str.maketrans("aeiouAEIOU", "áèîöüÁÈÎÖÜ")
_ODD: Final = ("Ω≈ç√ naïve", "表ポあA鷗Œé", "İstanbul straße", "e\u0301te\u0301", "👩‍👩‍👧‍👦 ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """frame: the contract's inputs, typed as in the training table. families: of each row, what it tries."""

    frame: pd.DataFrame
    families: tuple[str, ...]


def probes(contract: Contract, train: pd.DataFrame) -> Probes:
    """At most some 2,000 rows, the same for the same tables. Empty where no training row keeps the contract."""
    import numpy as np

    draw = np.random.default_rng(0)
    names = [item.name for item in contract.inputs]
    seen = train if len(train) <= _SEEN else train.iloc[np.sort(draw.choice(len(train), _SEEN, replace=False))]
    usual = seen.iloc[draw.permutation(len(seen))[: 4 * _USUAL]]
    bad = set(violating_rows(check_table(usual, contract)))
    usual = usual[names].iloc[[at for at in range(len(usual)) if at not in bad]]
    usual = usual.iloc[np.argsort(usual.isna().sum(axis=1), kind="stable")[:_USUAL]]  # gaps are a family of their own
    if usual.empty:
        return Probes(frame=usual, families=())
    most = max(_MOST // 10, min(_MOST, _CELLS // len(names) // len(_FAMILIES)))
    edits: list[Edit] = []
    for family in _FAMILIES:
        made = [edit for item in contract.inputs for edit in family(item, seen[item.name], len(usual), draw)]
        edits += [made[at] for at in sorted(draw.permutation(len(made))[:most].tolist())]
    if any(item.nullable for item in contract.textual()):  # to a model that knows null, an empty text is one
        edits = [edit for edit in edits if "" not in edit[2].values()]
    edits += _patterns(contract, seen, len(usual))[:most]
    edits += _mixtures(contract, seen, len(usual), most, draw)
    return Probes(frame=_applied(usual, edits), families=tuple(family for family, _, _ in edits))


def _gaps(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    for at in range(min(usual, 12)) if item.nullable and item.impute is None else ():
        yield "gaps", at, {item.name: None}


def _categories(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    known = column.dropna().unique().tolist() if item.categories is not None else []
    for value in known[:_MOST]:
        yield "categories", int(draw.integers(usual)), {item.name: value}


def _unseen(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    """Where the contract lets them through."""
    if item.categories is None or item.on_unseen is not Policy.FLAG:
        return
    if not item.coded and column.dropna().map(type).ne(str).any():
        return
    for value in _unseen_codes(item) if item.coded else ("never seen", "Zürich-Ωst", " ", ""):
        for at in range(min(usual, 3)):
            yield "unseen categories", at, {item.name: value}


def _unseen_codes(item: Input) -> list[int]:
    """The first below, the first above, one far off, and the first between, where there is one."""
    known = {int(value) for value in item.known_values}
    between = [code for code in range(min(known), min(known) + len(known)) if code not in known][:1]
    return [min(known) - 1, max(known) + 1, max(known) + 1000, *between]


def _texts(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    known = column.dropna().astype(str).tolist() if item.type is DataType.STRING else []
    for text in [known[at] for at in draw.permutation(len(known))[:25].tolist()]:
        for other in _written_otherwise(text):
            yield "texts written otherwise", int(draw.integers(usual)), {item.name: other}


def _written_otherwise(text: str) -> tuple[str, ...]:
    return (
        text.upper(), text.swapcase(), text.title(), text.translate(_ACCENTS), f"  {text}\t", text.replace(" ", "\u00a0"),
        f"{text} {_ODD[len(text) % len(_ODD)]}", f"{text}. {text}!", f"{text} 1 x 22 I'm", "",
    )  # fmt: skip


def _bounds(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    if item.type is DataType.BOOLEAN:
        for said in (False, True):
            yield "bounds", 0, {item.name: said}
    if not item.quantity:
        return
    whole = item.type is DataType.INTEGER
    ends = [(item.minimum, math.ceil), (item.maximum, math.floor)]
    for value in [rounded(end) if whole else float(end) for end, rounded in ends if end is not None]:
        for at in range(min(usual, 3)):
            yield "bounds", at, {item.name: value}


def _splits(item: Input, column: pd.Series, usual: int, draw: np.random.Generator) -> Iterator[Edit]:
    """Half-way between neighbouring values, where trees split, the next floats beside it, and the values themselves."""
    import numpy as np

    if not item.quantity:
        return
    known = as_numbers(column)
    known = np.unique(known[np.isfinite(known)])
    for at in draw.permutation(len(known) - 1)[:_SPLITS].tolist() if len(known) > 1 else ():
        low, high = known[at], known[at + 1]
        middle = (low + high) / 2
        beside = [float(np.nextafter(np.float32(middle), np.float32(side))) for side in (-np.inf, np.inf)]
        near = (low, high) if item.type is DataType.INTEGER else (low, middle, *beside)
        for value in near:
            if (item.minimum is None or value >= item.minimum) and (item.maximum is None or value <= item.maximum):
                yield "split points", int(draw.integers(usual)), {item.name: value}


_FAMILIES: Final = (_gaps, _categories, _unseen, _texts, _bounds, _splits)


def _patterns(contract: Contract, seen: pd.DataFrame, usual: int) -> list[Edit]:
    """All that may be null at once, and what is null together in training, the most frequent first."""
    names = [item.name for item in contract.inputs if item.nullable and item.impute is None]
    if not names:
        return []
    known = seen[names].isna().value_counts().index[:50]
    patterns = dict.fromkeys([(True,) * len(names), *(one if isinstance(one, tuple) else (one,) for one in known)])
    nulls = [[name for name, null in zip(names, pattern, strict=True) if null] for pattern in patterns]
    return [("gaps", at, dict.fromkeys(each)) for each in nulls if each for at in range(min(usual, 4))]


def _mixtures(contract: Contract, seen: pd.DataFrame, usual: int, most: int, draw: np.random.Generator) -> list[Edit]:
    """Each value from another training row; and corners, each number at one of its ends."""
    values = {item.name: seen[item.name].tolist() for item in contract.inputs}
    kept = {item.name: _allowed(item) for item in contract.inputs}
    found: list[Edit] = []
    for _ in range(most):
        drawn = {name: known[int(draw.integers(len(known)))] for name, known in values.items()}
        found.append(("mixtures", 0, {name: value for name, value in drawn.items() if kept[name](value)}))
    ends = {
        item.name: (item.minimum, item.maximum)
        for item in contract.inputs
        if item.type is DataType.NUMBER and item.minimum is not None and item.maximum is not None
    }
    for at in range(32 if ends else 0):
        found.append(("far corners", at % usual, {name: pair[int(draw.integers(2))] for name, pair in ends.items()}))
    return found


def _allowed(item: Input) -> Any:
    """Whether a training value may be sent without the contract changing or refusing it."""

    def allowed(value: Any) -> bool:
        if value is None or value != value:
            return item.nullable and item.impute is None
        if item.type not in (DataType.NUMBER, DataType.INTEGER):
            return True
        low = item.minimum is None or value >= item.minimum
        return bool(low and (item.maximum is None or value <= item.maximum))

    return allowed


def _applied(usual: pd.DataFrame, edits: list[Edit]) -> pd.DataFrame:
    """The edited rows, each column of the type that it had, as far as its new values let it."""
    import numpy as np
    import pandas as pd

    made = usual.iloc[[at for _, at, _ in edits]].reset_index(drop=True)
    for name in made.columns:
        new = {row: values[name] for row, (_, _, values) in enumerate(edits) if name in values}
        if not new:
            continue
        column, kind = made[name].astype(object).tolist(), getattr(made[name].dtype, "kind", "O")
        for row, value in new.items():
            column[row] = value
        if kind in "iuf":
            numbers = np.array([np.nan if value is None else value for value in column], dtype=np.float64)
            keeps = kind in "iu" and bool(np.isfinite(numbers).all()) and bool((numbers == np.floor(numbers)).all())
            made[name] = numbers.astype(made[name].dtype) if keeps else numbers
        else:
            whole = kind == "b" and all(isinstance(value, (bool, np.bool_)) for value in column)
            same = isinstance(made[name].dtype, pd.StringDtype)  # which says by itself what null is
            made[name] = pd.Series(column, dtype=bool if whole else made[name].dtype if same else object)
    return made
