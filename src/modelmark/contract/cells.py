"""The type of a column of texts: what is written decides, and reading a number must lose nothing."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from modelmark.contract.dtypes import EXACT
from modelmark.domain.contract import Csv, DataType, Input

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Words for "no value" in a column that otherwise holds numbers. In text only the empty cell is null: "NA" is Namibia.
NO_NUMBER: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")
TRUE: Final = ("True", "TRUE", "true")
FALSE: Final = ("False", "FALSE", "false")
#: What stands between three digits, by what it is called in a contract.
THOUSANDS: Final = {",": ",", ".": r"\.", "'": "['’]", " ": "[ \u00a0\u202f]"}
#: So many values are tried before all are.
_FIRST: Final = 100


def number_pattern(decimal: str, thousands: str | None) -> str:
    """A regular expression (also RE2's) of a whole text that is a number."""
    grouped = rf"[0-9]{{1,3}}(?:{THOUSANDS[thousands]}[0-9]{{3}})+|" if thousands else ""
    point = re.escape(decimal)
    return rf"^[+-]?(?:(?:{grouped}[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def typed(column: pa.ChunkedArray, how: Csv, agreed: Input | None = None) -> pd.Series:
    """bool, int64, float64 or str; truth values beside null are Python's own, dtype object. A column of nulls is float64.

    agreed: what the contract says of it. Without that, whole numbers with a leading zero, or at 2^53 and beyond, stay text.
    """
    import pandas as pd
    import pyarrow as pa

    if agreed is not None and agreed.type in (DataType.CATEGORY, DataType.STRING):
        return _respelled(pd.Series(column.to_pandas(), dtype="str"), agreed.categories or ())
    if column.null_count == len(column):
        return pd.Series(pa.nulls(len(column), pa.float64()).to_pandas())
    first = column.drop_null().slice(0, _FIRST)
    if _truths(first) is not None and (truths := _truths(column)) is not None:
        return pd.Series(truths.to_pandas())
    if _numbers(first, how, agreed, words_alone=True) is not None:
        numbers = _numbers(column, how, agreed)
        if numbers is not None:
            return pd.Series(numbers.to_pandas())
    return pd.Series(column.to_pandas())


def _respelled(column: pd.Series, categories: Collection[str]) -> pd.Series:
    """Texts that are none of the categories but spell the number of one become that one: 2.0 is 2. Among numbers alone,
    words for null are null unless they are categories."""
    others = {value: as_number(value) for value in column.dropna().unique() if value not in categories}
    found: dict[str, str | None] = {value: spelled for value, spelled in others.items() if spelled in categories}
    values = {*others, *categories} - {*NO_NUMBER}
    if values and all(as_number(value) is not None for value in values):
        found |= {value: None for value in others if value in NO_NUMBER}
    return column.replace(found) if found else column


def as_number(value: str) -> str | None:
    """How a float of this text would be written as a category."""
    try:
        number = float(value)
    except ValueError:
        return None
    return str(int(number)) if number.is_integer() else str(number)


def _truths(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as booleans, null kept; None where a value is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    true, false = (pc.is_in(column, value_set=pa.array(words)) for words in (TRUE, FALSE))
    if pc.sum(pc.or_(true, false)).as_py() != len(column) - column.null_count:
        return None
    return pc.if_else(column.is_valid(), true, pa.scalar(None, pa.bool_()))


def _numbers(
    column: pa.ChunkedArray, how: Csv, agreed: Input | None, *, words_alone: bool = False
) -> pa.ChunkedArray | None:
    """The column as float64, or int64 where all are written whole and none is null; None where a value is no number, or
    one that loses digits as a number though no contract says that it is one.

    words_alone: words for null make numbers even where nothing else is there.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    written = _usual(column, how)
    if written is None:
        return None
    try:
        found = pc.cast(written, pa.float64())
    except pa.ArrowInvalid:  # the slow way: spaces around a number, and words for null
        trimmed = pc.utf8_trim_whitespace(written)
        none = pc.is_in(trimmed, value_set=pa.array(NO_NUMBER))
        written = pc.if_else(none, pa.scalar(None, pa.string()), trimmed)
        try:
            found = pc.cast(written, pa.float64())
        except pa.ArrowInvalid:
            return None
    if not words_alone and not pc.any(pc.is_finite(found)).as_py() and not pc.any(pc.is_inf(found)).as_py():
        return None
    if agreed is None and _loses(written, found):
        return None
    if found.null_count or not _all(written, r"^[+-]?[0-9]+$"):
        return found
    try:
        return pc.cast(pc.utf8_ltrim(written, "+"), pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return found


def _loses(written: pa.ChunkedArray, found: pa.ChunkedArray) -> bool:
    """Whether a code or an id stands among whole numbers: a leading zero, or more digits than float64 keeps."""
    import pyarrow.compute as pc

    if not _all(written, r"^[+-]?[0-9]+$"):
        return False
    largest = pc.max(pc.abs(found)).as_py() or 0.0
    return largest >= EXACT or pc.any(pc.match_substring_regex(written, r"^[+-]?0[0-9]")).as_py() is True


def _usual(column: pa.ChunkedArray, how: Csv) -> pa.ChunkedArray | None:
    """Numbers written with the dialect's marks as with a point alone; None where a value is neither one nor null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if how.decimal == "." and how.thousands is None:
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    none = pc.is_in(trimmed, value_set=pa.array(NO_NUMBER))
    number = pc.match_substring_regex(trimmed, number_pattern(how.decimal, how.thousands))
    if not pc.all(pc.or_(number, none)).as_py():
        return None
    if how.thousands is not None:
        trimmed = pc.if_else(number, pc.replace_substring_regex(trimmed, THOUSANDS[how.thousands], ""), trimmed)
    return pc.if_else(number, pc.replace_substring(trimmed, how.decimal, "."), trimmed)


def _all(column: pa.ChunkedArray, pattern: str) -> bool:
    """Whether every text that is not null has this form; the first of them are asked first."""
    import pyarrow.compute as pc

    first, every = column.slice(0, _FIRST), column
    return all(pc.all(pc.match_substring_regex(some, pattern)).as_py() is not False for some in (first, every))
