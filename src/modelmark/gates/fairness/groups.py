"""The groups of a sensitive column: its values, or the pieces between boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.errors import Unmeasured
from modelmark.gates.common.no_value import unlike, visible

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int64]

_VALUES: Final = 10  # a numeric column with no more distinct values is a list of categories


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """A column cut into groups. code: the group of each row, 0..len(names)-1. Rows without a value are the last group."""

    column: str
    names: tuple[str, ...]
    code: Codes


def groups_of(
    column: str, train: pd.DataFrame, holdout: pd.DataFrame, boundaries: Sequence[float] | None
) -> tuple[Groups, Groups]:
    """The groups of train and of the holdout, with the same names.

    Raises Unmeasured when a table lacks the column: sensitive columns need not be inputs.
    """
    import pandas as pd

    for name, table in (("train", train), ("holdout", holdout)):
        if column not in table:
            raise Unmeasured(
                f"the {name} table has no column {column!r}, which data.sensitive names",
                field="data.sensitive",
                hint="keep sensitive columns in both tables; they need not be inputs of the model",
            )
    both = pd.concat([train[column], holdout[column]], ignore_index=True)
    whole = _grouped(column, both, train[column], boundaries)
    first, second = whole.code[: len(train)], whole.code[len(train) :]
    return replace(whole, code=first), replace(whole, code=second)


def _grouped(column: str, both: pd.Series, train: pd.Series, boundaries: Sequence[float] | None) -> Groups:
    import pandas as pd

    known = both.notna().to_numpy()
    continuous = both.dtype.kind in "if" and len(np.unique(both[known])) > _VALUES
    if boundaries or continuous:
        return _cut(column, as_numbers(both), boundaries or _quartiles(as_numbers(train)))
    code, texts = pd.factorize(as_texts(both), sort=True)
    return _named(column, visible(tuple(map(str, texts))), code.astype(np.int64))


def _named(column: str, names: tuple[str, ...], code: Codes) -> Groups:
    """code: -1 where there is no value."""
    if (code < 0).any():
        names, code = (*names, unlike(names)), np.where(code < 0, len(names), code)
    return Groups(column=column, names=names, code=code)


def _quartiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(v) for v in np.unique(np.nanquantile(values, (0.25, 0.5, 0.75))))


def _cut(column: str, values: NDArray[np.float64], at: Sequence[float]) -> Groups:
    edges = sorted(at)
    names = (f"≤ {edges[0]:g}", *(f"> {a:g} to {b:g}" for a, b in pairwise(edges)), f"> {edges[-1]:g}")
    code = np.searchsorted(np.array(edges), values, side="left").astype(np.int64)
    return _named(column, names, np.where(np.isnan(values), -1, code))


def crossed(groups: Sequence[Groups]) -> Groups:
    """Every combination that occurs."""
    table = np.column_stack([g.code for g in groups])
    cells, code = np.unique(table, axis=0, return_inverse=True)
    names = tuple(" × ".join(g.names[c] for g, c in zip(groups, cell, strict=True)) for cell in cells)
    return Groups(column=" × ".join(g.column for g in groups), names=names, code=code.reshape(-1).astype(np.int64))
