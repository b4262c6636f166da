"""How a CSV file is written, told from the file itself: separator, encoding, and the marks inside numbers."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from modelmark.contract.cells import NO_NUMBER, THOUSANDS, number_pattern
from modelmark.contract.csv_file import records
from modelmark.contract.rule_violation import RuleViolation
from modelmark.contract.table_file import chunks, require_fits
from modelmark.domain.contract import Contract, Csv
from modelmark.domain.errors import Rejected

SEPARATORS: Final = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_RECORDS: Final = 1000


def sniff(path: Path) -> Csv:
    """The usual dialect wherever nothing speaks for another. Reads the whole file once, and its first records again.

    Raises TooLarge and Malformed as `table_file.require_fits` does, OSError or ValueError for what cannot be read.
    """
    require_fits(path)
    encoding = _encoding(path)
    found = {mark: _first(path, mark, encoding) for mark in SEPARATORS}
    separator = _separator(found)
    columns = list(zip(*found[separator][1:], strict=False))
    decimal, thousands = _marks(columns, separator)
    return Csv(separator=separator, decimal=decimal, thousands=thousands, encoding=encoding)


def _first(path: Path, separator: str, encoding: str) -> list[list[str]]:
    """The fields of the first records; none where they cannot be told with this separator."""
    try:
        return [fields for _, _, fields in islice(records(path, separator, encoding), _RECORDS)]
    except csv.Error:
        return []


def common(first: Path, second: Path) -> Csv:
    """The dialect that two tables have in common; where one says nothing (whole numbers alone, ASCII alone) the other's.

    Raises Rejected (OTHER_DIALECT) where there is none, and as `sniff` does.
    """
    one, other = sniff(first), sniff(second)
    usual = Csv()

    def both(name: str) -> Any:
        found = {getattr(how, name) for how in (one, other)}
        return (found - {getattr(usual, name)} or found).pop() if len(found) == 2 else found.pop()

    agreed = Csv(
        separator=one.separator, decimal=both("decimal"), thousands=both("thousands"), encoding=both("encoding"),
    )  # fmt: skip
    apart = one.separator != other.separator or "utf-16" in {one.encoding, other.encoding} != {agreed.encoding}
    if apart or not all(_says_the_same(path, how, agreed) for path, how in ((first, one), (second, other))):
        raise Rejected(
            f"{first.name} is written with {described(one)}, {second.name} with {described(other)}", code="OTHER_DIALECT",
            field=second.name, limit="one way of writing for all tables of a contract", hint="save both in the same way",
        )  # fmt: skip
    return agreed


def _says_the_same(path: Path, own: Csv, agreed: Csv) -> bool:
    """Whether what a file's own marks make numbers of are numbers by those agreed on, too."""
    if (own.decimal, own.thousands) == (agreed.decimal, agreed.thousands):
        return True
    columns = zip(*_first(path, own.separator, own.encoding)[1:], strict=False)
    known = [[value.strip() for value in column if value.strip() not in NO_NUMBER] for column in columns]
    numbers = [values for values in known if _all(values, own.decimal, own.thousands)]
    return all(_all(values, agreed.decimal, agreed.thousands) for values in numbers)


def other_marks(values: Sequence[str], how: Csv) -> Csv | None:
    """How texts that are no numbers as we were told to read them seem to be written, where they all are numbers then."""
    known = [value.strip() for value in values if value.strip() not in NO_NUMBER]
    readings = [(".", None), *_readings(how.separator)]
    found = next((pair for pair in readings if known and _all(known, *pair)), None)
    return None if found is None else replace(how, decimal=found[0], thousands=found[1])


def described(csv: Csv) -> str:
    """As a person says it.

    >>> described(Csv(separator=";", decimal=",", thousands="."))
    'semicolons, decimal commas, "." between thousands, utf-8'
    """
    words = [
        SEPARATORS.get(csv.separator, repr(csv.separator)),
        "decimal commas" if csv.decimal == "," else "decimal points",
    ]
    words += [f'"{csv.thousands}" between thousands'] if csv.thousands else []
    return ", ".join([*words, csv.encoding])


def dialect_violations(contract: Contract) -> Iterator[RuleViolation]:
    """What `data.csv` says that no table can be read with."""
    how = contract.data.csv or Csv()
    for name, value, allowed in (
        ("separator", how.separator, SEPARATORS),
        ("decimal", how.decimal, (".", ",")),
        ("thousands", how.thousands, (None, *(mark for mark in THOUSANDS if mark != how.decimal))),
    ):
        if value not in allowed:
            listed = ", ".join("null" if mark is None else json.dumps(mark) for mark in allowed)
            yield RuleViolation(("data", "csv", name), repr(value), f"one of {listed}")
    try:
        "".encode(how.encoding)
    except LookupError:
        yield RuleViolation(
            ("data", "csv", "encoding"), repr(how.encoding), "an encoding that Python knows, such as utf-8"
        )


def _encoding(path: Path) -> str:
    start = next(chunks(path), b"")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in chunks(path):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _separator(found: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """That with which every record has as many fields as the header, two at least; of several the comma, then the one
    with most fields."""
    widths = {mark: {len(fields) for fields in rows} for mark, rows in found.items()}
    even = {mark: max(counts) for mark, counts in widths.items() if len(counts) == 1 and counts != {1}}
    return "," if "," in even or not even else max(even, key=even.__getitem__)


def _marks(columns: Sequence[Sequence[str]], separator: str) -> tuple[str, str | None]:
    """(decimal, thousands): of the pairs with which every number of the usual form is still one, that which makes numbers
    of most other columns."""
    votes: Counter[tuple[str, str | None]] = Counter()
    able = list(_readings(separator))
    for column in columns:
        values = [value.strip() for value in column if value.strip() not in NO_NUMBER]
        if values and _all(values, ".", None):
            able = [pair for pair in able if _all(values, *pair)]
        elif values:
            votes.update(pair for pair in able if _all(values, *pair))
    most = max((votes[pair] for pair in able), default=0)
    return next((pair for pair in able if most and votes[pair] == most), (".", None))


def _readings(separator: str) -> Iterator[tuple[str, str | None]]:
    """In the order in which they are believed: 1,234 is a thousand among commas, a fraction among semicolons."""
    first, second = ((".", ","), (",", None)) if separator == "," else ((",", None), (".", ","))
    yield from (first, second, (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))


def _all(values: Sequence[str], decimal: str, thousands: str | None) -> bool:
    pattern = re.compile(number_pattern(decimal, thousands))
    return all(pattern.match(value) for value in values)
