"""The outer object of a JSON body whose values are read by type later, and what other servers' clients write into it that is
no JSON: NaN for what is missing, texts as base64.
"""

from __future__ import annotations

import base64
import re
from binascii import Error
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from modelmark.contract import jsontext
from modelmark.domain.errors import Malformed, Rejected
from modelmark.serving.wire import errors

FAILED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Nested base64 as TensorFlow Serving's clients write bytes. Inside a JSON string its quotation marks would be escaped.
_B64: Final = re.compile(rb'\{\s*"b64"\s*:\s*"([A-Za-z0-9+/=]*)"\s*\}')
_NAN: Final = b"NaN"
_encode: Final = msgspec.json.Encoder().encode


class _Peek(msgspec.Struct):
    entity: Any = None


_peek: Final = msgspec.json.Decoder(_Peek).decode

#: A decoder of a struct whose fields are all `msgspec.Raw | UnsetType`.
Decode = Callable[[bytes], Any]


def fields(body: bytes, decode: Decode, form: str) -> dict[str, bytes]:
    """The object's fields, each as its JSON text. form: what the body should look like, for refusals.

    A bare NaN reads as null; infinities are refused, as is a field that is not known or comes twice. Raises Rejected.
    """
    try:
        found = decode(body)
    except FAILED:
        body = nan_as_null(body)
        try:
            found = decode(body)
        except FAILED:
            raise _fault(body, form) from None
    named = {name: bytes(value) for name, value in msgspec.structs.asdict(found).items() if value is not msgspec.UNSET}
    if marks(body) != 2 * len(named) + sum(map(marks, named.values())):
        raise Rejected("a field came twice", code="DUPLICATE_FIELD", limit=form)
    return named


def entity_in(body: bytes) -> str | None:
    """Whom a JSON body says that it is about, before more of it is read; None where it does not, or cannot be read."""
    try:
        found = _peek(body).entity
    except FAILED:
        return None
    return found if isinstance(found, str) else None


def marks(text: bytes) -> int:
    """Quotation marks of any kind."""
    return text.count(b'"')


def nan_as_null(body: bytes) -> bytes:
    """The body with null for every NaN that stands outside strings."""
    if _NAN not in body:
        return body
    bare = body.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in body else body
    quotes = np.flatnonzero(np.frombuffer(bare, np.uint8) == ord('"'))
    text = np.frombuffer(body, np.uint8)
    first, second, third = (text[at : len(text) - 2 + at] == mark for at, mark in enumerate(_NAN))
    places = np.flatnonzero(first & second & third)
    outside = places[np.searchsorted(quotes, places) % 2 == 0]
    found = text.copy()
    for at, mark in enumerate(b"nul"):
        found[outside + at] = mark
    return bytes(np.insert(found, outside + len(_NAN), ord("l")).tobytes())


def base64_as_text(text: bytes, most: int) -> bytes:
    """JSON with a plain string for every `{"b64": "…"}`. most: so many there may be. Raises Rejected."""
    if b'"b64"' not in text:
        return text
    found, count = _B64.subn(_plain, text, most + 1)
    if count > most:
        raise Rejected("there are too many texts", code="TOO_MANY_ROWS", limit=f"{most} texts")
    return found


def _plain(match: re.Match[bytes]) -> bytes:
    try:
        return _encode(base64.b64decode(match[1], validate=True).decode())
    except (Error, ValueError):
        raise Malformed("a text cannot be read", code="INVALID_UTF8", limit="UTF-8, in base64") from None


def text_of(raw: bytes, field: str) -> str:
    """A field that must be a string. Raises Rejected."""
    try:
        return msgspec.json.decode(raw, type=str)
    except FAILED:
        raise Rejected(f"{field} must be a string", code="WRONG_TYPE", field=field, limit="a string") from None


def strict_object(body: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """A small body that must be an object of these fields. Raises Rejected."""
    value = jsontext.read(body)
    if not isinstance(value, jsontext.Pairs):
        raise Rejected("the body must be an object", code="WRONG_TYPE", limit="an object")
    for name in value.duplicates:
        raise Rejected("a field came twice", code="DUPLICATE_FIELD", field=jsontext.shown(name))
    for name in value:
        if name not in keys:
            raise Rejected(
                "a field is not known", code="UNKNOWN_FIELD", field=jsontext.shown(name), limit=", ".join(keys)
            )
    return value


def _fault(body: bytes, form: str) -> Rejected:
    """What is wrong with a body that is no such object."""
    if len(body) > jsontext.SMALL:
        return errors.Doubtful(lambda: jsontext.unreadable(body) or _no_form(form))
    try:
        value = jsontext.read(body)
    except Malformed as error:
        return error
    for name in getattr(value, "duplicates", ()):
        return Rejected("a field came twice", code="DUPLICATE_FIELD", field=jsontext.shown(name))
    return _no_form(form)


def _no_form(form: str) -> Rejected:
    return Malformed("the request is not of the protocol's form", code="BAD_REQUEST", limit=form)
