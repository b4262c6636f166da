"""Compressed bodies: unpacked within limits that hold while they are unpacked."""

from __future__ import annotations

import zlib
from typing import Final

from modelmark.domain.errors import Malformed, TooLarge
from modelmark.serving.wire import Headers
from modelmark.serving.wire.errors import Unsupported

ENCODING: Final = b"content-encoding"
#: A body may unpack to so many times its size, and to SMALL bytes however small it is.
RATIO: Final = 20
SMALL: Final = 64 * 1024
#: Content codings and what zlib calls their framing: gzip with its CRC, deflate with zlib's checksum.
_FRAMING: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_NONE: Final = frozenset({b"", b"identity"})


def unpacked(body: bytes, headers: Headers, limit: int) -> tuple[bytes, Headers]:
    """The body as it was before it was compressed, and the headers that go with it. limit: bytes it may have then.

    Raises Unsupported for any coding but gzip and deflate, or for several; Malformed for bytes that are cut or damaged;
    TooLarge.
    """
    coding = headers.get(ENCODING)
    if coding is None:
        return body, headers
    coding = coding.strip().lower()
    if coding not in _NONE:
        body = _inflated(body, coding, limit)
    return body, {name: value for name, value in headers.items() if name != ENCODING}


def _inflated(body: bytes, coding: bytes, limit: int) -> bytes:
    framing = _FRAMING.get(coding)
    if framing is None:
        raise Unsupported(
            "the content coding is not known", code="UNSUPPORTED_ENCODING", limit="gzip, deflate, identity"
        )
    most = min(limit, max(RATIO * len(body), SMALL))
    stream = zlib.decompressobj(framing)
    try:
        found = stream.decompress(body, most + 1)
    except zlib.error:
        raise _damaged("the compressed body is damaged") from None
    if len(found) > most:
        raise TooLarge(
            "the body unpacks to too much",
            code="BODY_TOO_LARGE",
            limit=f"{limit} bytes, {RATIO} times what was sent or {SMALL} bytes",
        )
    if not stream.eof:
        raise _damaged("the compressed body is cut")
    if stream.unused_data:
        raise _damaged("something follows the compressed body")
    return found


def _damaged(message: str) -> Malformed:
    return Malformed(message, code="BAD_ENCODING", field="Content-Encoding", limit="one whole gzip or deflate stream")
