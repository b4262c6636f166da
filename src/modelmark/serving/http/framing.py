"""What HTTP answers and limits look like; no state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec

JSON: Final = b"application/json"
REASONS: Final = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}
SECURITY: Final = (
    b"x-content-type-options: nosniff\r\n"
    b"content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n"
    b"referrer-policy: no-referrer\r\n"
    b"cache-control: no-store\r\n"
)
REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
#: Headers the transport itself reads, beside those of the protocols; all others are only counted. Each may come once.
READ: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"x-request-id",
        b"authorization",
        b"x-api-key",
        b"server-timing",
        b"traceparent",
        b"x-modelmark-at",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may ask for. Sizes in bytes, times in seconds."""

    url: int = 8192
    header_bytes: int = 16 * 1024
    header_count: int = 100
    chunks: int = 65_536
    chunk_overhead: int = 16 * 1024  # extensions and trailers, beyond 12 bytes a chunk
    receipt: float = 10.0  # from a request's first byte to its last
    stall: float = 10.0  # a reader that takes nothing
    idle: float = 75.0
    linger: float = 1.0  # after an error, so that the answer is read before the connection goes
    half_closed: float = 0.1  # a client that sends no more is waited for so long: it may well have gone
    pipelined: int = 64  # requests of one connection that wait, and that are taken in one turn of the loop
    connections: int = 4096  # when all are in use, the longest idle gives way
    spare: int = 32  # beyond them, for whoever asks after health when none is idle
    #: Of a worker in a second, for load; more leave a moment later.
    refusals: int = 2000
    held: int = 256 * 1024 * 1024  # bodies on their way in, all connections together


def origin_form(url: bytes) -> tuple[bytes | None, bytes]:
    """(the host a target names, the target without it): `http://host/path` is how a client asks a proxy, and any server must
    understand it. None where it names no host."""
    if url[:7].lower() != b"http://":
        return None, url
    host, slash, path = url[7:].partition(b"/")
    return host, slash + path or b"/"


class FramingError(Exception):
    """The request cannot be read on."""

    def __init__(self, status: int, code: str, message: str, limit: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.limit = status, code, message, limit

    def body(self) -> bytes:
        facts = {"error": self.message, "code": self.code, "limit": self.limit}
        return msgspec.json.encode({name: value for name, value in facts.items() if value is not None})
