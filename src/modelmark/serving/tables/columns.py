"""A part of a table as the rows that a request would bring. Each cell is judged alone, so that no row costs another its
answer, and it does not matter where a table is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract import cells
from modelmark.contract.dtypes import normalised
from modelmark.contract.rows import RowCodec, Rows
from modelmark.contract.table import as_numbers, as_texts
from modelmark.domain.contract import Contract, Csv, DataType, Input
from modelmark.domain.errors import ModelmarkError, Rejected

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_TEXTUAL: Final = (DataType.CATEGORY, DataType.STRING)
_KIND: Final = {DataType.NUMBER: "a number", DataType.INTEGER: "an integer", DataType.BOOLEAN: "true or false"}


@dataclass(frozen=True, slots=True)
class Typed:
    """rows: of the whole part. wrong: rows with a cell that is not of its column's type, and why; their numbers are NaN."""

    rows: Rows
    wrong: Mapping[int, ModelmarkError]


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
        wrong: dict[int, Rejected] = {}
        slow = [
            item.name for item in (*self._numeric, *self._textual) if not texts and not _is_plain(part[item.name], item)
        ]
        frame = normalised(part.select(slow).to_pandas()) if slow else None
        columns: list[NDArray[np.float64]] = []
        for item in self._numeric:
            column = part[item.name]
            if frame is not None and item.name in slow:
                found, bad = _of_frame(frame[item.name], item)
            else:
                found, bad = _spelled(column, self._how, item) if texts else _plain(column, item)
            columns.append(found)
            if bad is not None:
                _note(wrong, item, bad)
        numbers = np.column_stack(columns).astype("<f8", copy=False).tobytes() if columns else b""
        words = np.empty((len(part), len(self._textual)), object)
        for at, item in enumerate(self._textual):
            if frame is not None and item.name in slow:
                words[:, at] = as_texts(frame[item.name], item.categories or ()).to_numpy()
            else:
                words[:, at] = (
                    _words(part[item.name], item) if texts else _looked_up(part[item.name], lambda value: value)
                )
        return Typed(Rows(len(part), numbers, words.ravel().tolist()), wrong)


def _note(wrong: dict[int, Rejected], item: Input, bad: NDArray[np.bool_]) -> None:
    for row in np.flatnonzero(bad).tolist():
        wrong.setdefault(
            row, Rejected(f"{item.name} has the wrong type", code="WRONG_TYPE", field=item.name, row=row,
                          limit=_KIND[item.type]),
        )  # fmt: skip


def _spelled(column: pa.ChunkedArray, how: Csv, item: Input) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Texts as numbers, NaN for null; and which of them are none, None where all are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    quick = None if item.type is DataType.BOOLEAN or how.thousands or how.decimal != "." else _cast(column)
    if quick is not None:
        return quick, None
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
        found: NDArray[np.float64] = pc.cast(column, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return found if int(np.isfinite(found).sum()) == len(column) - column.null_count else None


def _is_plain(column: pa.ChunkedArray, item: Input) -> bool:
    """Whether Arrow's own values are the input's, so that pandas need not say what they mean."""
    import pyarrow as pa

    kind, kinds = column.type, pa.types
    if item.type in _TEXTUAL:
        return bool(kinds.is_string(kind) or kinds.is_large_string(kind))
    if kinds.is_boolean(kind):
        return item.type is DataType.BOOLEAN
    whole = kinds.is_integer(kind) and (
        kind.bit_width < 64 or (kinds.is_signed_integer(kind) and not column.null_count)
    )
    return whole or kinds.is_float32(kind) or kinds.is_float64(kind)


def _plain(column: pa.ChunkedArray, item: Input) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    """Plain numbers as float64, NaN for null; and which are no truth values where only those are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    if column.null_count:
        found: NDArray[np.float64] = column.to_numpy().astype(np.float64, copy=False)
    else:  # `to_numpy` imports pandas
        found = np.concatenate([np.from_dlpack(chunk) for chunk in column.chunks]).astype(np.float64, copy=False)
    if item.type is not DataType.BOOLEAN:
        return found, None
    bad = ~np.isnan(found) & (found != 0) & (found != 1)
    return np.where(bad, np.nan, found), bad


def _looked_up(column: pa.ChunkedArray, meaning: Callable[[str], str | None]) -> NDArray[np.object_]:
    """What each text means, which is asked once for each distinct one; None for null."""
    found = [np.empty(0, object)]
    for chunk in column.chunks:
        coded = chunk.dictionary_encode()
        values = [*map(meaning, coded.dictionary.to_pylist()), None]
        found.append(np.array(values, object)[coded.indices.fill_null(len(values) - 1).to_numpy()])
    return np.concatenate(found)


def _of_frame(column: pd.Series, item: Input) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
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


def _words(column: pa.ChunkedArray, item: Input) -> NDArray[np.object_]:
    """Texts of a CSV as the contract's own: 2.0 is the category 2; null is an empty cell, and where every category is a
    number, a word for it."""
    known = frozenset(item.categories or ())
    numbers = bool(known) and all(cells.as_number(value) is not None for value in known)

    def meaning(value: str) -> str | None:
        if value in known:
            return value
        spelled = cells.as_number(value) if known else None
        if spelled is not None and spelled in known:
            return spelled
        return None if numbers and value in cells.NO_NUMBER else value

    return _looked_up(column, meaning)
