"""A part of a table as the rows that a request would bring. Each cell is judged alone, so that no row costs another its
answer, and it does not matter where a table is cut."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract import cells
from modelmark.contract.dtypes import normalised
from modelmark.contract.rows import RowCodec, Rows
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract, Csv, DataType, Input
from modelmark.domain.errors import Rejected

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TEXTUAL: Final = (DataType.CATEGORY, DataType.STRING)
_KIND: Final = {DataType.NUMBER: "a number", DataType.INTEGER: "an integer", DataType.BOOLEAN: "true or false"}


@dataclass(frozen=True, slots=True)
class Typed:
    """rows: of the whole part. wrong: rows with a cell that is not of its column's type, and why; their numbers are NaN."""

    rows: Rows
    wrong: Mapping[int, Rejected]


class Columns:
    """How the tables of one contract are read. how: as CSV files are written."""

    def __init__(self, contract: Contract, codec: RowCodec, how: Csv) -> None:
        inputs = {item.name: item for item in contract.inputs}
        self._numeric = [inputs[column.name] for column in codec.numeric]
        self._textual = [inputs[column.name] for column in codec.textual]
        self._how = how

    @property
    def names(self) -> list[str]:
        return [item.name for item in (*self._numeric, *self._textual)]

    def typed(self, part: pa.Table, *, texts: bool) -> Typed:
        """texts: every column is text, as a CSV's is."""
        frame = None if texts else normalised(part.select(self.names).to_pandas())
        wrong: dict[int, Rejected] = {}
        numbers = np.empty((len(part), len(self._numeric)), "<f8")
        for at, item in enumerate(self._numeric):
            found, bad = _spelled(part[item.name], self._how, item) if frame is None else _plain(frame[item.name], item)
            numbers[:, at] = found
            _note(wrong, item, bad)
        words: list[str | None] = [None] * (len(part) * len(self._textual))
        for at, item in enumerate(self._textual):
            known = item.categories or ()
            words[at :: len(self._textual)] = (
                _words(part[item.name], item) if frame is None else as_texts(frame[item.name], known).tolist()
            )
        return Typed(Rows(len(part), numbers.tobytes(), words), wrong)


def _note(wrong: dict[int, Rejected], item: Input, bad: NDArray[np.bool_]) -> None:
    for row in np.flatnonzero(bad).tolist():
        wrong.setdefault(
            row, Rejected(f"{item.name} has the wrong type", code="WRONG_TYPE", field=item.name, row=row,
                          limit=_KIND[item.type]),
        )  # fmt: skip


def _spelled(column: pa.ChunkedArray, how: Csv, item: Input) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Texts as numbers, NaN for null; and which of them are none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    quick = None if item.type is DataType.BOOLEAN or how.thousands or how.decimal != "." else _cast(column)
    if quick is not None:
        return quick, np.zeros(len(quick), bool)
    trimmed = pc.utf8_trim_whitespace(column)
    null = pc.or_(pc.is_null(trimmed), pc.is_in(trimmed, value_set=pa.array(cells.NO_NUMBER)))
    number = pc.fill_null(pc.match_substring_regex(trimmed, cells.number_pattern(how.decimal, how.thousands)), False)
    written = pc.if_else(number, trimmed, pa.scalar(None, pa.string()))
    if how.thousands is not None:
        written = pc.replace_substring_regex(written, cells.THOUSANDS[how.thousands], "")
    if how.decimal != ".":
        written = pc.replace_substring(written, how.decimal, ".")
    found = np.array(pc.cast(written, pa.float64()).to_numpy(), np.float64)
    bad = ~(pc.or_(number, null).to_numpy())
    if item.type is DataType.BOOLEAN:
        for words, value in ((cells.TRUE, 1.0), (cells.FALSE, 0.0)):
            said = pc.is_in(trimmed, value_set=pa.array(words)).to_numpy()
            found[said], bad = value, bad & ~said
        bad |= ~np.isnan(found) & (found != 0) & (found != 1)
    return found, bad


def _cast(column: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """Where each text is null or a plain number, as nearly always."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = np.array(pc.cast(column, pa.float64()).to_numpy(), np.float64)
    except pa.ArrowInvalid:
        return None
    return found if int(np.isfinite(found).sum()) == len(column) - column.null_count else None


def _plain(column: pd.Series, item: Input) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Values of a typed column as numbers, NaN for null; and which of them are none."""
    null = column.isna().to_numpy()
    found: NDArray[np.float64] = as_numbers(column)
    bad: NDArray[np.bool_] = ~null & np.isnan(found)
    if item.type is not DataType.BOOLEAN:  # true is no number
        truths = column.dtype == bool if column.dtype != object else np.array([isinstance(v, bool) for v in column])
        bad |= truths
    if item.type is DataType.BOOLEAN:
        bad |= ~null & (found != 0) & (found != 1)
    return np.where(bad, np.nan, found), bad


def _words(column: pa.ChunkedArray, item: Input) -> list[str | None]:
    """Texts of a CSV as the contract's own: 2.0 is the category 2; null is an empty cell, and where every category is a
    number, a word for it."""
    distinct: dict[str | None, str | None] = {value: value for value in column.unique().to_pylist()}
    known = item.categories or ()
    numbers = bool(known) and all(cells.as_number(value) is not None for value in known)
    for value in distinct:
        if value is None or value in known:
            continue
        spelled = cells.as_number(value) if known else None
        if spelled is not None and spelled in known:
            distinct[value] = spelled
        elif numbers and value in cells.NO_NUMBER:
            distinct[value] = None
    return [distinct[value] for value in column.to_pylist()]
