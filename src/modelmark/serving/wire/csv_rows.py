"""Rows as CSV: a line of names, then a line a row; an empty cell is a missing value. UTF-8, commas, quotes as in RFC 4180."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from math import isfinite, isnan
from typing import Any, Final

from modelmark.contract import row_errors
from modelmark.contract.columns import Numeric, Text
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.contract import DataType
from modelmark.domain.errors import Malformed, Rejected

_BOOLEANS: Final[Mapping[str, bool]] = {"true": True, "false": False, "1": True, "0": False}


def rows(body: bytes, codec: RowCodec) -> Rows:
    """Raises Malformed for what is no CSV, Rejected for what the contract does not describe."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8", code="INVALID_UTF8", limit=f"wrong at byte {error.start}") from None
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = next(lines, [])
        row_errors.columns(names, codec.names)
        if len(set(names)) < len(names):
            raise Malformed("a column came twice", code="DUPLICATE_COLUMN")
        found: list[list[str]] = []
        for line in lines:
            if not line:  # a blank line
                continue
            if len(found) == codec.max_rows:
                raise row_errors.row_count(len(found) + 1, codec.max_rows)
            if len(line) != len(names):
                limit = f"{len(names)} cells"
                raise Malformed("a row has another number of cells", code="BAD_SHAPE", row=len(found), limit=limit)
            found.append(line)
    except csv.Error:
        raise Malformed(
            "the body is not CSV", code="BAD_CSV", limit="RFC 4180, cells up to 131072 characters"
        ) from None
    kinds = {column.name: column for column in codec.columns}
    cells = zip(*found, strict=True) if found else ([] for _ in names)
    columns = {name: _column(kinds[name], each) for name, each in zip(names, cells, strict=True)}
    return codec.from_columns(len(found), columns)


def _column(column: Numeric | Text, cells: Any) -> list[Any]:
    if isinstance(column, Text):
        return [cell or None for cell in cells]
    read: Callable[[str], Any] = _boolean if column.type is DataType.BOOLEAN else _number
    values: list[Any] = []
    for row, cell in enumerate(cells):
        try:
            values.append(read(cell) if cell else None)
        except OverflowError:
            raise row_errors.not_finite(column.name, row) from None
        except (KeyError, ValueError):
            limit = "true or false" if column.type is DataType.BOOLEAN else "a number"
            message = f"{column.name} must be {limit}"
            raise Rejected(message, code="WRONG_TYPE", field=column.name, row=row, limit=limit) from None
    return values


def _boolean(cell: str) -> bool:
    return _BOOLEANS[cell.strip().lower()]


def _number(cell: str) -> float | None:
    """None for NaN. Raises ValueError; OverflowError for infinities."""
    if "_" in cell:
        raise ValueError("Python's own spelling")
    value = float(cell)
    if isnan(value):
        return None
    if not isfinite(value):
        raise OverflowError
    return value
