"""What exactly is wrong with a row. Names code, field, row and limit; never repeats the value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import isfinite
from typing import Any, Final

from modelmark.contract import jsontext
from modelmark.contract.columns import FLOAT64_MAX, Numeric, Text
from modelmark.domain.contract import DataType
from modelmark.domain.errors import Malformed, Rejected

EXPECTED: Final = {
    DataType.NUMBER: "a JSON number",
    DataType.INTEGER: "a JSON number without a fraction",
    DataType.BOOLEAN: "true or false",
    DataType.CATEGORY: "a string",
    DataType.STRING: "a string",
}
_NUMBERS: Final = frozenset({int, float})
_QUANTITIES: Final = frozenset({DataType.NUMBER, DataType.INTEGER})


def row_count(count: int, limit: int) -> Rejected:
    if count == 0:
        return Rejected("there are no rows", code="NO_ROWS", field="rows", limit=f"1 to {limit} rows")
    return Rejected("there are too many rows", code="TOO_MANY_ROWS", field="rows", limit=f"1 to {limit} rows")


def not_finite(field: str | None, row: int | None) -> Rejected:
    return Rejected("a value is not a finite number", code="NON_FINITE", field=field, row=row, limit="a finite number")


def columns(found: Collection[str], names: Sequence[str], row: int | None = None) -> None:
    """Raises Rejected when columns are missing or unknown."""
    known = frozenset(names)
    if len(found) == len(known) and known.issuperset(found):
        return
    for name in names:
        if name not in found:
            raise Rejected(f"column {name} is missing", code="MISSING_COLUMN", field=name, row=row)
    for name in found:
        if name not in known:
            raise Rejected(
                "there is a column that the contract does not know",
                code="UNKNOWN_COLUMN",
                field=jsontext.shown(name),
                row=row,
                limit=f"the {len(names)} columns of the contract",
            )


def column(expected: Numeric | Text, values: Sequence[Any]) -> None:
    """Raises Rejected at the first value of the wrong kind in a whole column."""
    for index, value in enumerate(values):
        found = cell(expected, value, index)
        if found is not None:
            raise found


def row(value: Any, index: int, numeric: Sequence[Numeric], textual: Sequence[Text]) -> Rejected | None:
    """The first thing wrong with one row as `jsontext.read` gave it, None when nothing is."""
    if not isinstance(value, dict):
        return Rejected("a row must be an object", code="WRONG_TYPE", field="rows", row=index, limit="an object")
    for name in getattr(value, "duplicates", ()):
        return Rejected("a column came twice", code="DUPLICATE_COLUMN", field=jsontext.shown(name), row=index)
    try:
        columns(value, [*(c.name for c in numeric), *(c.name for c in textual)], index)
    except Rejected as error:
        return error
    both: list[Numeric | Text] = [*numeric, *textual]
    for expected in both:
        given = value[expected.name]
        if type(given) in _NUMBERS and expected.type in _QUANTITIES and -FLOAT64_MAX <= given <= FLOAT64_MAX:
            continue  # nothing is wrong with a plain number; a row has thousands of them
        found = cell(expected, given, index)
        if found is not None:
            return found
    return None


def cell(expected: Numeric | Text, value: Any, index: int) -> Rejected | None:
    """None when the value has the column's type; ranges and categories are judged elsewhere."""
    if value is None:
        if expected.nullable:
            return None
        return Rejected(f"{expected.name} may not be null", code="NULL_NOT_ALLOWED", field=expected.name, row=index)
    if isinstance(expected, Text):
        right = isinstance(value, str)
        if right and not jsontext.well_formed(value):
            return Malformed(
                f"{expected.name} is not well-formed text", code="INVALID_UTF8", field=expected.name, row=index
            )
    elif expected.type is DataType.BOOLEAN:
        right = isinstance(value, bool)
    else:
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
        if right and not _finite(value):
            return not_finite(expected.name, index)
    if right:
        return None
    limit = EXPECTED[expected.type]
    return Rejected(f"{expected.name} must be {limit}", code="WRONG_TYPE", field=expected.name, row=index, limit=limit)


def _finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # an integer beyond float64
        return False
