"""One request as its bytes come in: llhttp (through httptools) parses, and every limit holds while they do."""

from __future__ import annotations

from typing import Any, Final, Protocol

import httptools

from modelmark.serving.http.framing import FramingError, Limits, origin_form

#: Answered where every place is taken.
ALWAYS: Final = frozenset({b"/v2/health/live", b"/v2/health/ready", b"/metrics"})


class House(Protocol):
    """What a message asks of the server it comes to. read: lower-case names of the headers that somebody reads. held: bytes
    of bodies on their way in, of all connections together."""

    limits: Limits
    read: frozenset[bytes]
    held: int

    def allows(self, host: bytes) -> bool: ...
    def body_limit(self, url: bytes) -> int: ...


class Owner(Protocol):
    """The connection. spare: it was taken in where every place was taken."""

    spare: bool

    def begin(self) -> None:
        """The first byte of a message is there."""
        ...

    def go_on(self) -> None:
        """The client waits to hear whether to send its body."""
        ...

    def complete(self, method: bytes, keep: bool, body: bytes) -> None:
        """A message is whole. keep: the connection may be used again."""
        ...


class Message:
    """Implements httptools' callbacks. Filled anew by every request of one connection."""

    def __init__(self, house: House, owner: Owner) -> None:
        self._house, self._owner, self._limits = house, owner, house.limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self.upgraded = False  # an upgrade is ignored; what follows it is not HTTP to us
        self.receiving = False
        self.in_head = True
        self.head_fed = self._body_fed = 0
        self._body = b""
        self._more: bytearray | None = None
        self._held = 0
        self._reset()

    def _reset(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.header_count = self._header_bytes = 0
        if self._held:
            self.let_go()
        self._body_bytes = self._chunks = 0
        self._body_limit = 0

    @property
    def untouched(self) -> bool:
        """Whether the next byte begins a message."""
        return self.in_head and not self.receiving and not self.head_fed

    def feed(self, data: bytes) -> None:
        """Raises FramingError, also for bytes that llhttp has taken in and not yet shown us."""
        if self.in_head:
            self.head_fed += len(data)
        else:
            self._body_fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.upgraded = True
            return
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, FramingError):
                raise
            raise cause from None
        except httptools.HttpParserError:
            raise FramingError(400, "BAD_REQUEST", "the request breaks the standard") from None
        self._enforce_sizes()

    def let_go(self) -> None:
        """Forget the body."""
        self._house.held -= self._held
        self._body, self._more, self._held = b"", None, 0

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._reset()
        self.receiving = True
        self._owner.begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.url:
            raise FramingError(414, "URL_TOO_LONG", "the address is too long", f"{self._limits.url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_count += 1
        self._header_bytes += len(name) + len(value) + 4
        if self.header_count > self._limits.header_count or self._header_bytes > self._limits.header_bytes:
            limit = f"{self._limits.header_count} headers, {self._limits.header_bytes} bytes"
            raise FramingError(431, "HEADERS_TOO_LARGE", "the headers are too large", limit)
        read = self._house.read
        if name not in read:
            name = name.lower()
        if name in read and self.in_head:
            if name in self.headers:
                raise FramingError(400, "DUPLICATE_HEADER", "a header came twice that may come once", name.decode())
            self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._body_fed = 0
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise FramingError(505, "UNKNOWN_HTTP", "this version of HTTP is not spoken here", "HTTP/1.1, HTTP/1.0")
        self._require_host(version)
        if self._owner.spare and self.url.partition(b"?")[0] not in ALWAYS:
            limit = f"{self._limits.connections} connections"
            raise FramingError(503, "TOO_MANY_CONNECTIONS", "too many connections are open, and none is idle", limit)
        self._require_length()
        expect = self.headers.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise FramingError(417, "UNKNOWN_EXPECTATION", "the expectation is not known", "100-continue")
            self._owner.go_on()

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self._limits.chunks:
            limit = f"{self._limits.chunks} chunks"
            raise FramingError(413, "TOO_MANY_CHUNKS", "the body comes in too many chunks", limit)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_limit:
            raise self._too_large()
        if not self._body:
            self._body = body
        elif self._more is None:
            self._more = bytearray(self._body) + body
        else:
            self._more += body
        self._held += len(body)
        self._house.held += len(body)
        if self._house.held > self._limits.held:
            raise FramingError(503, "OVERLOADED", "too many bodies are on their way in", "try again in 1 s")

    def on_message_complete(self) -> None:
        parser = self._parser
        self.receiving, self.in_head, self.head_fed = False, True, 0
        body = self._body if self._more is None else bytes(self._more)
        self.let_go()
        keep = parser.should_keep_alive() and not parser.should_upgrade()
        self._owner.complete(parser.get_method(), keep, body)

    def _require_host(self, version: str) -> None:
        host, unknown = self.headers.get(b"host"), False
        if host is None:
            if version != "1.0":
                raise FramingError(400, "NO_HOST", "the Host header is missing")
        else:
            unknown = not self._house.allows(host)
        if self.url[:1] not in b"/*":
            named, self.url = origin_form(self.url)
            unknown = unknown or (named is not None and not self._house.allows(named))
        if unknown:
            raise FramingError(421, "UNKNOWN_HOST", "this server does not go by that name", "a name it was started for")

    def _require_length(self) -> None:
        declared, coding = self.headers.get(b"content-length"), self.headers.get(b"transfer-encoding")
        if declared is not None or coding is not None:
            self._body_limit = self._house.body_limit(self.url)
        if declared is not None:
            if coding is not None:
                raise FramingError(400, "BAD_REQUEST", "Content-Length and Transfer-Encoding exclude each other")
            if int(declared) > self._body_limit:
                raise self._too_large()
        if coding is not None and coding.strip().lower() != b"chunked":
            raise FramingError(400, "BAD_REQUEST", "the transfer coding is not known", "chunked")
        if self._parser.should_upgrade() and (coding is not None or declared not in (None, b"0")):
            raise FramingError(400, "UPGRADE_WITH_BODY", "an upgrade with a body is not understood")

    def _too_large(self) -> FramingError:
        return FramingError(413, "BODY_TOO_LARGE", "the body is too large", f"{self._body_limit} bytes")

    def _enforce_sizes(self) -> None:
        limits = self._limits
        if self.in_head and self.receiving and self.head_fed > limits.header_bytes + limits.url:
            raise FramingError(431, "HEADERS_TOO_LARGE", "the headers are too large", f"{limits.header_bytes} bytes")
        overhead = 12 * self._chunks + limits.chunk_overhead
        if not self.in_head and self._body_fed > self._body_bytes + overhead:
            limit = f"{limits.chunk_overhead} bytes"
            raise FramingError(400, "CHUNK_OVERHEAD", "chunk extensions or trailers are too large", limit)
