"""JSON text, read strictly: what a fast typed decoder refused is read again here to say exactly what was wrong."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import numpy as np

from modelmark.domain.errors import Malformed

MAX_DEPTH: Final = 32
_KEPT: Final = b'"[]{}'
_DROPPED: Final = bytes(byte for byte in range(256) if byte not in _KEPT)
_STRING: Final = re.compile(rb'"[^"]*"')
_LONG_INTEGER: Final = 300  # digits; beyond them float() says what int() would refuse to


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


def depth(body: bytes) -> int:
    """Deepest nesting of brackets outside strings, without parsing: linear, and no recursion."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return 0
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _DROPPED)
    bare = _STRING.sub(b"", bare)
    marks = np.frombuffer(bare, np.uint8)
    steps = np.where((marks == 91) | (marks == 123), 1, np.where((marks == 93) | (marks == 125), -1, 0))
    return int(steps.cumsum().max(initial=0))


def read(body: bytes) -> Any:
    """The value, objects as `Pairs`. Raises Malformed, with a code of its own for each reason."""
    if depth(body) > MAX_DEPTH:
        raise Malformed("the JSON is nested too deep", code="TOO_DEEP", limit=f"{MAX_DEPTH} levels")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8", code="INVALID_UTF8", limit=f"wrong at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise Malformed("the body starts with a byte order mark", code="BAD_JSON", limit="UTF-8 without a mark")
    bare: list[str] = []

    def constant(name: str) -> Bare:
        bare.append(name)
        return Bare(name)

    try:
        value = json.loads(text, object_pairs_hook=Pairs, parse_constant=constant, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise Malformed("the body is not JSON", code="BAD_JSON", limit=f"wrong at character {error.pos}") from None
    except (RecursionError, ValueError):
        raise Malformed("the body is not JSON", code="BAD_JSON") from None
    if bare:
        field, row = _place(value) or (None, None)
        raise Malformed(
            "NaN and infinities are not JSON", code="NON_FINITE", field=field, row=row, limit="a finite number"
        )
    return value


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
