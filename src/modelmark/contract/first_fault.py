"""The first thing wrong with a large body of rows, found row by row: nothing behind it is read, and nothing is kept.

What is looked at is bounded too: the first `jsontext.BUDGET` bytes, and of one row no more than a block.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from modelmark.contract import jsontext, row_errors
from modelmark.contract.columns import Numeric, Text
from modelmark.domain.errors import Malformed, Rejected

_BLOCK: Final = jsontext.BLOCK
_SPACE: Final = re.compile(r"[ \t\n\r]*")
#: A decoder that fails so near to the end of a block may lack what comes behind it.
_NEAR: Final = 64


#: What is wrong with a field's value, None when nothing is.
Judge = Callable[[Any], Rejected | None]


def of_rows(
    body: bytes, others: Mapping[str, Judge], numeric: Sequence[Numeric], textual: Sequence[Text], max_rows: int
) -> Rejected:
    """Of `{"rows": [{...}, ...]}` or `{"row": {...}}`, with other fields known by name. A general refusal when nothing was
    found."""
    try:
        if jsontext.too_deep(body[: jsontext.BUDGET]):
            return jsontext.nested_too_deep()
        _object(_Walk(body), others, numeric, textual, max_rows)
    except Rejected as error:
        return error
    return Malformed("the body is not what the contract describes", code="MALFORMED")


def _object(
    walk: _Walk, others: Mapping[str, Judge], numeric: Sequence[Numeric], textual: Sequence[Text], max_rows: int
) -> None:
    """Raises Rejected at the first fault."""
    if walk.mark() != "{":
        walk.value()  # it may be no JSON at all
        raise Rejected("the body must be an object", code="WRONG_TYPE", limit="an object")
    walk.step()
    fields, seen = ("rows", "row", *others), set[str]()
    while walk.mark() != "}":
        name = walk.value()
        if not isinstance(name, str):
            raise walk.wrong()
        if name in seen:
            raise Rejected("a field came twice", code="DUPLICATE_FIELD", field=jsontext.shown(name))
        if name not in fields:
            limit = ", ".join(fields)
            raise Rejected("a field is not known", code="UNKNOWN_FIELD", field=jsontext.shown(name), limit=limit)
        seen.add(name)
        walk.step(":")
        if name == "rows":
            _rows(walk, numeric, textual, max_rows)
        else:
            value = walk.value()
            found = row_errors.row(value, 0, numeric, textual) if name == "row" else others[name](value)
            if found is not None:
                raise found
        walk.step_between("}")
    if ("rows" in seen) == ("row" in seen):
        raise Rejected("send either rows or row", code="MISSING_FIELD", field="rows", limit="exactly one of rows, row")


def _rows(walk: _Walk, numeric: Sequence[Numeric], textual: Sequence[Text], max_rows: int) -> None:
    if walk.mark() != "[":
        walk.value()
        raise Rejected("rows must be a list of objects", code="WRONG_TYPE", field="rows", limit="a list of objects")
    walk.step()
    index = 0
    while walk.mark() != "]":
        if index >= max_rows:
            raise row_errors.row_count(index + 1, max_rows)
        found = row_errors.row(walk.value(index), index, numeric, textual)
        if found is not None:
            raise found
        index += 1
        walk.step_between("]")
    if index == 0:
        raise row_errors.row_count(0, max_rows)
    walk.step()


class _Walk:
    """A body's text, a block at a time, and where in it we are. Raises Malformed at what is no JSON, and beyond the budget."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._start = self._at = 0  # of the block, in bytes; in the block, in characters
        self._text, self._cut = "", False
        self._load(0)

    def mark(self) -> str:
        """The character that comes next, behind any space."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._cut:
                raise self.wrong()
            self._go_on()

    def step(self, over: str = "") -> None:
        """Behind the next character, which must be this one where one is named."""
        if self.mark() != over and over:
            raise self.wrong()
        self._at += 1

    def step_between(self, end: str) -> None:
        """Behind the comma that another item follows; nowhere before the end."""
        if self.mark() == end:
            return
        self.step(",")
        if self.mark() == end:
            raise self.wrong()

    def value(self, row: int | None = None) -> Any:
        """The value that comes next. row: which one it is, for errors."""
        self.mark()
        while True:
            bare, decoder = jsontext.decoder()
            try:
                value, end = decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                lacking = error.pos > len(self._text) - _NEAR or error.msg.startswith("Unterminated")
                if not (self._cut and lacking):
                    self._at = error.pos
                    raise self.wrong() from None
                if not self._at:
                    limit = f"{_BLOCK} bytes"
                    raise Malformed(
                        "something is wrong in what is too long to be looked at", code="MALFORMED", row=row, limit=limit
                    ) from None
                self._go_on()
            except (RecursionError, ValueError):
                raise self.wrong() from None
            else:
                if bare:
                    raise jsontext.bare_constant(value, row)
                self._at = end
                return value

    def wrong(self) -> Malformed:
        place = self._start + len(self._text[: self._at].encode("utf-8", "surrogatepass"))
        return Malformed("the body is not JSON", code="BAD_JSON", limit=f"wrong at byte {place}")

    def _go_on(self) -> None:
        """A new block, from where we are."""
        self._load(self._start + len(self._text[: self._at].encode("utf-8", "surrogatepass")))

    def _load(self, start: int) -> None:
        if start >= jsontext.BUDGET:
            limit = f"the first {jsontext.BUDGET} bytes are right"
            raise Malformed("the body is not what the contract describes", code="MALFORMED", limit=limit)
        block = self._body[start : start + _BLOCK]
        self._start, self._at, self._cut = start, 0, start + len(block) < len(self._body)
        try:
            self._text = codecs.utf_8_decode(block, "strict", not self._cut)[0]
        except UnicodeDecodeError as error:
            at = start + error.start
            raise Malformed("the body is not UTF-8", code="INVALID_UTF8", limit=f"wrong at byte {at}") from None
