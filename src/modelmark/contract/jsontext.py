"""JSON text, read strictly: what a fast typed decoder refused is read again here to say exactly what was wrong.

A small text is read whole (`read`). Of a large one nothing is built: the first fault is looked for (`unreadable`,
`first_fault`), in its first part alone, so that no refusal costs more than what is accepted.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final

import msgspec
import numpy as np

from modelmark.domain.errors import Malformed

MAX_DEPTH: Final = 32
#: Bytes of a text that is read whole.
SMALL: Final = 8 * 1024
#: Bytes of a larger one that are looked at, until something wrong is found.
BUDGET: Final = 1024 * 1024
#: Bytes that are looked at without a pause.
BLOCK: Final = 64 * 1024
_KEPT: Final = b'"[]{}'
_DROPPED: Final = bytes(byte for byte in range(256) if byte not in _KEPT)
_PLACE: Final = re.compile(r"\(byte (\d+)\)")
_CONSTANT: Final = re.compile(rb"-?(?:NaN|Infinity)")
_NOT_JSON_NUMBER: Final = "NaN and infinities are not JSON"
_LONG_INTEGER: Final = 300  # digits; beyond them float() says what int() would refuse to
_LONG: Final = b"0" * (_LONG_INTEGER + 1)
_SAME_DIGITS: Final = bytes.maketrans(b"123456789", b"000000000")


class Bare(float):
    """NaN, Infinity or -Infinity written bare, which is not JSON."""


class Pairs(dict[str, Any]):
    """An object that remembers which of its keys came twice."""

    __slots__ = ("duplicates",)

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.duplicates: tuple[str, ...] = ()
        if len(self) != len(pairs):
            seen: set[str] = set()
            self.duplicates = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def too_deep(body: bytes) -> bool:
    """Whether brackets outside strings are nested deeper than MAX_DEPTH, without parsing: linear, no recursion, and over as
    soon as it is known."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    level, quotes, at = 0, 0, 0
    while at < len(body):
        block = body[at : at + BLOCK]
        if (len(block) - len(block.rstrip(b"\\"))) % 2:  # what is escaped belongs to its backslash
            block = body[at : at + BLOCK + 1]
        at += len(block)
        bare = block.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _DROPPED)
        marks = np.frombuffer(bare, np.uint8) | 32  # [ and { are one, ] and } another
        strings = (marks == 34).cumsum() + quotes
        steps = np.where(strings & 1, 0, (marks == 123).astype(np.int8) - (marks == 125)).cumsum()
        if level + int(steps.max(initial=0)) > MAX_DEPTH:
            return True
        level += int(steps[-1]) if steps.size else 0
        quotes = int(strings[-1]) & 1 if strings.size else quotes
    return False


def unreadable(body: bytes) -> Malformed | None:
    """What makes a text no JSON, None when nothing does: its first fault, in its first BUDGET bytes. Builds nothing."""
    part, whole = body[:BUDGET], len(body) <= BUDGET
    if too_deep(part):
        return nested_too_deep()
    try:
        codecs.utf_8_decode(part, "strict", whole)
        msgspec.json.decode(part, type=msgspec.Raw)
    except UnicodeDecodeError as error:
        return _no_text(error.start)
    except RecursionError:
        return nested_too_deep()
    except msgspec.DecodeError as error:
        place = _PLACE.search(str(error))
        if place is None:  # it ends too early
            return Malformed("the body is not JSON", code="BAD_JSON", limit="all of it") if whole else None
        at = int(place[1])
        if _CONSTANT.search(part, max(at - 1, 0), at + 9):
            return Malformed(_NOT_JSON_NUMBER, code="NON_FINITE", limit="a finite number")
        return Malformed("the body is not JSON", code="BAD_JSON", limit=f"wrong at byte {at}")
    return None


def read(body: bytes) -> Any:
    """The value, objects as `Pairs`. Raises Malformed, with a code of its own for each reason."""
    if too_deep(body):
        raise nested_too_deep()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _no_text(error.start) from None
    if text.startswith("\ufeff"):
        raise Malformed("the body starts with a byte order mark", code="BAD_JSON", limit="UTF-8 without a mark")
    bare, decode = decoder(long=_LONG in body.translate(_SAME_DIGITS))
    try:
        value = decode.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed("the body is not JSON", code="BAD_JSON", limit=f"wrong at character {error.pos}") from None
    except (RecursionError, ValueError):
        raise Malformed("the body is not JSON", code="BAD_JSON") from None
    if bare:
        raise bare_constant(value)
    return value


def decoder(*, long: bool = True) -> tuple[list[str], json.JSONDecoder]:
    """(the constants it has met that are not JSON, a decoder with objects as `Pairs`).

    long: whether there may be integers of many digits; without them the decoder need not ask us about each.
    """
    bare: list[str] = []

    def constant(name: str) -> Bare:
        bare.append(name)
        return Bare(name)

    return bare, json.JSONDecoder(
        object_pairs_hook=Pairs, parse_constant=constant, parse_int=_integer if long else None
    )


def bare_constant(value: Any, row: int | None = None) -> Malformed:
    """There is NaN or an infinity in the value; row: which one the value is."""
    field, row = _place(value, None, row) or (None, row)
    return Malformed(_NOT_JSON_NUMBER, code="NON_FINITE", field=field, row=row, limit="a finite number")


def nested_too_deep() -> Malformed:
    return Malformed("the JSON is nested too deep", code="TOO_DEEP", limit=f"{MAX_DEPTH} levels")


def _no_text(at: int) -> Malformed:
    return Malformed("the body is not UTF-8", code="INVALID_UTF8", limit=f"wrong at byte {at}")


def _place(value: Any, field: str | None = None, row: int | None = None) -> tuple[str | None, int | None] | None:
    """The column (or tensor) and row of the first bare constant; recursion ends at MAX_DEPTH."""
    if isinstance(value, Bare):
        return field, row
    if isinstance(value, dict):
        named = value.get("name")
        for key, item in value.items():
            found = _place(item, shown(named if isinstance(named, str) else key), row)
            if found is not None:
                return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            found = _place(item, field, index)
            if found is not None:
                return found
    return None


def well_formed(text: str) -> bool:
    """Whether a string read from JSON can be written again: lone surrogates cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str | None:
    """A name a caller sent, fit to be repeated in an error: short and printable, else nothing."""
    return name if len(name) <= 64 and name.isprintable() and well_formed(name) else None


def _integer(digits: str) -> int | float:
    return float(digits) if len(digits) > _LONG_INTEGER else int(digits)
