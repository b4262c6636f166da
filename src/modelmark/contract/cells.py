"""The type of a column of texts: what is written decides, and reading a number must lose nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from modelmark.domain.contract import Csv

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

#: Words for "no value" in a column that otherwise holds numbers. In text only the empty cell is null: "NA" is Namibia.
NO_NUMBER: Final = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A")
_TRUE: Final = ("True", "TRUE", "true")
_FALSE: Final = ("False", "FALSE", "false")
#: What stands between three digits, by what it is called in a contract.
THOUSANDS: Final = {",": ",", ".": r"\.", "'": "['’]", " ": "[ \u00a0\u202f]"}
#: So many values are tried before all are.
_FIRST: Final = 100


def number_pattern(decimal: str, thousands: str | None) -> str:
    """A regular expression (also RE2's) of a whole text that is a number."""
    grouped = rf"[0-9]{{1,3}}(?:{THOUSANDS[thousands]}[0-9]{{3}})+|" if thousands else ""
    point = re.escape(decimal)
    return rf"^[+-]?(?:(?:{grouped}[0-9]+)(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


def typed(column: pa.ChunkedArray, how: Csv) -> pd.Series:
    """bool, int64, float64 or str; truth values beside null are Python's own, dtype object. A column of nulls is float64."""
    import pandas as pd
    import pyarrow as pa

    if column.null_count == len(column):
        return pd.Series(pa.nulls(len(column), pa.float64()).to_pandas())
    first = column.drop_null().slice(0, _FIRST)
    if _truths(first) is not None and (truths := _truths(column)) is not None:
        return pd.Series(truths.to_pandas())
    if _numbers(first, how, words_alone=True) is not None and (numbers := _numbers(column, how)) is not None:
        return pd.Series(numbers.to_pandas())
    return pd.Series(column.to_pandas())


def _truths(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as booleans, null kept; None where a value is none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    true, false = (pc.is_in(column, value_set=pa.array(words)) for words in (_TRUE, _FALSE))
    if pc.sum(pc.or_(true, false)).as_py() != len(column) - column.null_count:
        return None
    return pc.if_else(column.is_valid(), true, pa.scalar(None, pa.bool_()))


def _numbers(column: pa.ChunkedArray, how: Csv, *, words_alone: bool = False) -> pa.ChunkedArray | None:
    """The column as float64, or int64 where all are written whole and none is null; None where a value is no number.

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
    if found.null_count or not _all_whole(written):
        return found
    try:
        return pc.cast(pc.utf8_ltrim(written, "+"), pa.int64())
    except pa.ArrowInvalid:  # beyond 64 bits
        return found


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


def _all_whole(column: pa.ChunkedArray) -> bool:
    import pyarrow.compute as pc

    return all(
        pc.all(pc.match_substring_regex(some, r"^[+-]?[0-9]+$")).as_py() for some in (column.slice(0, _FIRST), column)
    )
