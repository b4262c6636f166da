"""HTTP/1.1 on the wire: framing, limits, deadlines, keep-alive, back-pressure; nothing else.

llhttp (through httptools) parses. Everything a client can do wrong ends in one error with a JSON body and a closed
connection; nothing a client does makes memory grow beyond the limits.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from email.utils import formatdate
from functools import cached_property
from time import perf_counter
from typing import Any, Final, cast

import httptools

from modelmark.serving.http.framing import JSON, READ, REASONS, REQUEST_ID, SECURITY, FramingError, Limits, origin_form
from modelmark.serving.http.remembered import RememberedHead
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics, key

#: Refusals for load that may come at once, and the longest that a connection is not read for them, in seconds.
REFUSED_AT_ONCE: Final = 200
LONGEST_HUSH: Final = 0.25
#: No request is shorter, in bytes.
SHORTEST: Final = 16
#: Answered where every place is taken.
ALWAYS: Final = frozenset({b"/v2/health/live", b"/v2/health/ready", b"/metrics"})
#: The idle are looked for no more often than this, in seconds.
LOOK: Final = 0.05


class Edge:
    """All connections of one worker."""

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        *,
        hosts: frozenset[bytes],
        limits: Limits | None = None,
        loop: asyncio.AbstractEventLoop,
        extra: bytes = b"",
    ) -> None:
        """hosts: names a caller may use for us, without port: nobody else's web page may talk to us under its own."""
        self.service, self.metrics, self.hosts, self.loop = service, metrics, hosts, loop
        self.limits = limits or Limits()
        self.connections: set[Connection] = set()
        self._idlest: deque[tuple[float, Connection]] = deque()
        self._looked_at = float("-inf")
        self.draining = False
        self.held = 0
        self._count = 0
        self._id_head = service.runtime.writer.id[:12]
        self._extra = extra
        self.common = b""
        self._known_hosts: set[bytes] = set()
        self._refused_until = 0.0
        self.read = READ | service.headers
        self.sweep_now()

    def protocol(self) -> Connection:
        return Connection(self)

    def next_id(self) -> str:
        self._count += 1
        return f"{self._id_head}-{self._count:x}"

    def allows(self, host: bytes) -> bool:
        if host in self._known_hosts:
            return True
        name = host.rpartition(b":")[0] if re.search(rb":\d{0,5}$", host) else host
        if name.lower() in self.hosts:
            if len(self._known_hosts) < 64:
                self._known_hosts.add(host)
            return True
        return False

    async def sweep(self) -> None:
        """Hold the deadlines of all connections. Runs until cancelled."""
        while True:
            await asyncio.sleep(0.25)
            self.sweep_now()

    def sweep_now(self) -> None:
        self.common = b"date: %b\r\n" % formatdate(usegmt=True).encode() + SECURITY + self._extra
        now = self.loop.time()
        for connection in list(self.connections):
            connection.enforce_deadlines(now, self.limits)
        self.metrics.gauges["modelmark_connections"] = len(self.connections)

    def has_room(self, coming: int) -> bool:
        """Whether one more may be taken in while so many others are on their way; one that is idle may have to go for it."""
        most = self.limits.connections + self.limits.spare
        return len(self.connections) + coming < most or self.make_room()

    def make_room(self) -> bool:
        """End the connection that has been idle for longest. False when none is idle."""
        now = self.loop.time()
        if not self._idlest and now - self._looked_at >= LOOK:
            self._looked_at = now
            idle = [(it.touched, it) for it in self.connections if it.idle and not it.paused]
            self._idlest.extend(sorted(idle, key=lambda found: found[0]))
        while self._idlest:
            touched, connection = self._idlest.popleft()
            if connection in self.connections and connection.idle and connection.touched == touched:
                self.connections.discard(connection)
                connection.close()
                return True
        return False

    @property
    def busy(self) -> int:
        """Requests received whose answers have not left."""
        return sum(len(connection.waiting) for connection in self.connections)

    def refused(self, connection: Connection) -> None:
        """A caller was told that there is too much, and many come back at once: beyond so many refusals a second, one that
        was refused is not read until they are within that again. Else saying no would take the time that answers need."""
        now, each = self.loop.time(), 1 / self.limits.refusals
        self._refused_until = max(self._refused_until, now - REFUSED_AT_ONCE * each) + each
        if self._refused_until > now:
            connection.hush(min(self._refused_until - now, LONGEST_HUSH))

    def drain(self) -> None:
        """From now on every answer closes its connection."""
        self.draining = True

    def close_idle(self, quiet: float) -> None:
        """Close connections that have had nothing to say for so many seconds; the next request may be on its way."""
        now = self.loop.time()
        for connection in list(self.connections):
            if connection.idle and now - connection.touched > quiet:
                connection.close()

    def abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()


class Request:
    """One request on one connection; implements `service.Exchange`."""

    __slots__ = ("connection", "echo", "head", "keep", "ready", "request_id", "response")

    def __init__(self, connection: Connection, request_id: str, echo: bytes, keep: bool, head: bool) -> None:
        self.connection, self.request_id, self.echo = connection, request_id, echo
        self.keep, self.head = keep, head
        self.ready = perf_counter()
        self.response: bytes | None = None

    @property
    def peer(self) -> bytes:
        return self.connection.peer

    @property
    def gone(self) -> bool:
        return self.connection.transport is None

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None:
        edge = self.connection.edge
        if edge.draining:
            self.keep = False
        self.response = b"".join(
            (
                REASONS[status],
                edge.common,
                b"content-type: %b\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
                % (content_type, len(body), self.echo),
                extra,
                b"\r\n" if self.keep else b"connection: close\r\n\r\n",
                b"" if self.head else body,
            )
        )
        self.connection.send()
        if status == 429:
            edge.refused(self.connection)


class Connection(asyncio.Protocol):
    """One connection: requests in, in order; answers out, in the same order. Every limit holds while bytes arrive."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.limits = edge.limits
        self.transport: asyncio.Transport | None = None
        self.parser: Any = None
        self.waiting: deque[Request] = deque()
        self.fault: FramingError | None = None
        self.receiving = False
        self.started = self.touched = 0.0
        self.stalled_at = self.lingering_at = 0.0
        self.paused = self.reading_paused = self.hushed = False
        self.closing = self.ended = self.spare = False
        self.unread, self.taken, self.resuming = b"", 0, False
        self.in_head = True
        self.head_fed = self.body_fed = 0
        self.body = b""
        self.more: bytearray | None = None
        self.held = 0
        self.whole = b""
        self.remembered: RememberedHead | None = None
        self._reset()

    def _reset(self) -> None:
        self.url = b""
        self.headers: dict[bytes, bytes] = {}
        self.header_count = self.header_bytes = 0
        if self.held:
            self._let_go()
        self.body_bytes = self.chunks = 0
        self.body_limit = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.touched = self.edge.loop.time()
        if len(self.edge.connections) >= self.limits.connections and not self.edge.make_room():
            self.spare = True
            if len(self.edge.connections) >= self.limits.connections + self.limits.spare:
                self.abort()
                return
        self.edge.connections.add(self)
        self.transport.set_write_buffer_limits(high=0)  # whatever the kernel does not take at once starts the clock
        self.parser = httptools.HttpRequestParser(self)

    @cached_property
    def peer(self) -> bytes:
        """The address of the other end, without port."""
        found = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(found[0]).encode() if found else b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.parser = None
        self.unread = b""
        self._let_go()
        self.waiting.clear()
        self.edge.connections.discard(self)

    def eof_received(self) -> bool:
        """A client that half-closes still gets what it asked for, when that takes no time: it may have gone altogether."""
        self.ended = True
        if self.unread:
            return True
        if not self.waiting:
            return False
        self._expect_no_more()
        return True

    def _expect_no_more(self) -> None:
        self.closing = True
        self.edge.loop.call_later(self.limits.half_closed, self._leave)

    def _leave(self) -> None:
        """What is still being made for it need not be."""
        if self.waiting:
            self.close()

    def pause_writing(self) -> None:
        self.paused = True
        self.stalled_at = self.edge.loop.time()
        self._throttle()

    def resume_writing(self) -> None:
        self.paused = False
        self.stalled_at = 0.0
        self._resume()
        self._throttle()

    def data_received(self, data: bytes) -> None:
        if self.closing or self.fault is not None or self.parser is None:
            return
        if self.unread:
            self.unread += data
            return
        if self.in_head and not self.receiving and not self.head_fed:
            if self.remembered is not None and self._same_again(self.remembered, data):
                return
            self.whole, self.remembered = data, None
        else:
            self.whole = b""
        self._feed(data)
        self.whole = b""

    def _feed(self, data: bytes) -> None:
        """Parse, but take no more requests than may wait: what is behind them stays unread, for the next turn or until
        answers have left."""
        at, self.taken = 0, 0
        while at < len(data) and not self.closing and self.fault is None and self.parser is not None:
            room = self.limits.pipelined - max(self.taken, len(self.waiting))
            if room <= 0 or self.paused or self.hushed:
                self.unread = data[at:]
                break
            size = _safe(data, at, room)
            self._parse(data if size == len(data) else data[at : at + size])
            at += size
        if self.unread or self.reading_paused or len(self.waiting) >= self.limits.pipelined:
            self._resume()
            self._throttle()

    def _parse(self, data: bytes) -> None:
        if self.in_head:
            self.head_fed += len(data)
        else:
            self.body_fed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.closing = True  # an upgrade is ignored; what follows it is not HTTP to us
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if not isinstance(cause, FramingError):
                raise
            self._fail(cause)
        except httptools.HttpParserError:
            self._fail(FramingError(400, "BAD_REQUEST", "the request breaks the standard"))
        if self.fault is None and not self.closing:
            self._enforce_sizes()

    def _resume(self) -> None:
        """Read on in the next turn what was left unread, when there is room for it."""
        if (
            self.unread
            and not (self.resuming or self.paused or self.hushed)
            and len(self.waiting) < self.limits.pipelined
        ):
            self.resuming = True
            self.edge.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        self.resuming = False
        data, self.unread = self.unread, b""
        self._feed(data)
        if self.ended and not self.unread and not self.closing and self.fault is None:
            if self.waiting:
                self._expect_no_more()
            else:
                self.close()

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._reset()
        self.receiving = True
        self.started = self.edge.loop.time()

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self.limits.url:
            raise FramingError(414, "URL_TOO_LONG", "the address is too long", f"{self.limits.url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.header_count += 1
        self.header_bytes += len(name) + len(value) + 4
        if self.header_count > self.limits.header_count or self.header_bytes > self.limits.header_bytes:
            limit = f"{self.limits.header_count} headers, {self.limits.header_bytes} bytes"
            raise FramingError(431, "HEADERS_TOO_LARGE", "the headers are too large", limit)
        if name not in self.edge.read:
            name = name.lower()
        if name in self.edge.read and self.in_head:
            if name in self.headers:
                raise FramingError(400, "DUPLICATE_HEADER", "a header came twice that may come once", name.decode())
            self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.body_fed = 0
        headers = self.headers
        if self.parser.get_http_version() not in ("1.1", "1.0"):
            raise FramingError(505, "UNKNOWN_HTTP", "this version of HTTP is not spoken here", "HTTP/1.1, HTTP/1.0")
        host = headers.get(b"host")
        if host is None:
            if self.parser.get_http_version() != "1.0":
                raise FramingError(400, "NO_HOST", "the Host header is missing")
        elif not self.edge.allows(host):
            raise FramingError(421, "UNKNOWN_HOST", "this server does not go by that name", "a name it was started for")
        if self.url[:1] not in b"/*":
            named, self.url = origin_form(self.url)
            if named is not None and not self.edge.allows(named):
                raise FramingError(
                    421, "UNKNOWN_HOST", "this server does not go by that name", "a name it was started for"
                )
        if self.spare and self.url.partition(b"?")[0] not in ALWAYS:
            limit = f"{self.limits.connections} connections"
            raise FramingError(503, "TOO_MANY_CONNECTIONS", "too many connections are open, and none is idle", limit)
        declared, coding = headers.get(b"content-length"), headers.get(b"transfer-encoding")
        if declared is not None or coding is not None:
            self.body_limit = self.edge.service.body_limit(self.url)
        if declared is not None:
            if coding is not None:
                raise FramingError(400, "BAD_REQUEST", "Content-Length and Transfer-Encoding exclude each other")
            if int(declared) > self.body_limit:
                raise self._too_large()
        if coding is not None and coding.strip().lower() != b"chunked":
            raise FramingError(400, "BAD_REQUEST", "the transfer coding is not known", "chunked")
        if self.parser.should_upgrade() and (coding is not None or declared not in (None, b"0")):
            raise FramingError(400, "UPGRADE_WITH_BODY", "an upgrade with a body is not understood")
        expect = headers.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise FramingError(417, "UNKNOWN_EXPECTATION", "the expectation is not known", "100-continue")
            if not self.waiting and self.transport is not None:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_chunk_header(self) -> None:
        self.chunks += 1
        if self.chunks > self.limits.chunks:
            raise FramingError(
                413, "TOO_MANY_CHUNKS", "the body comes in too many chunks", f"{self.limits.chunks} chunks"
            )

    def on_body(self, body: bytes) -> None:
        self.body_bytes += len(body)
        if self.body_bytes > self.body_limit:
            raise self._too_large()
        if not self.body:
            self.body = body
        elif self.more is None:
            self.more = bytearray(self.body) + body
        else:
            self.more += body
        self.held += len(body)
        self.edge.held += len(body)
        if self.edge.held > self.limits.held:
            raise FramingError(503, "OVERLOADED", "too many bodies are on their way in", "try again in 1 s")

    def on_message_complete(self) -> None:
        parser, edge = self.parser, self.edge
        if self.closing:
            return  # an answer before this one ended the connection
        self.receiving, self.in_head, self.head_fed = False, True, 0
        self.touched = self.started
        given = self.headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            echo, request_id = given, given.decode()
        else:
            request_id = edge.next_id()
            echo = request_id.encode()
        method = parser.get_method()
        keep = parser.should_keep_alive() and not parser.should_upgrade() and not self.spare
        request = Request(self, request_id, echo, keep, method == b"HEAD")
        self.waiting.append(request)
        self.taken += 1
        body = self.body if self.more is None else bytes(self.more)
        self._let_go()
        if keep and given is None and self.whole:
            self._remember(method, body)
        self._handle(request, method, body)

    def _handle(self, request: Request, method: bytes, body: bytes) -> None:
        edge = self.edge
        try:
            edge.service.handle(request, method, self.url, self.headers, body)
        except Exception as error:  # noqa: BLE001  # a defect of ours must not show, nor take the worker down
            edge.loop.call_exception_handler({"message": "a request handler failed", "exception": error})
            edge.metrics.add(key("modelmark_errors_total", status="500", code="INTERNAL"))
            if request.response is None:
                request.reply(500, b'{"error":"the server made a mistake","code":"INTERNAL"}', JSON, b"")

    # ours

    def _remember(self, method: bytes, body: bytes) -> None:
        """The head of a request that came alone and in one piece."""
        head, self.whole = self.whole[: len(self.whole) - len(body)], b""
        if body and b"content-length" in self.headers and b"expect" not in self.headers:
            self.remembered = RememberedHead.of(head, self.header_count, method)

    def _same_again(self, head: RememberedHead, data: bytes) -> bool:
        """Take a request whose head is the last one's without parsing it. False: it must be parsed, nothing was done."""
        edge, body = self.edge, head.body(data)
        if body is None or len(body) > edge.service.body_limit(self.url):
            return False
        if edge.held + len(body) > self.limits.held or len(self.waiting) + 1 >= self.limits.pipelined:
            return False
        self.touched = self.started = edge.loop.time()
        request_id = edge.next_id()
        request = Request(self, request_id, request_id.encode(), True, False)
        self.waiting.append(request)
        self._handle(request, head.method, body)
        return True

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.receiving and not self.lingering_at and not self.unread

    def send(self) -> None:
        """Write every answer whose turn it is, in the order the requests came."""
        transport = self.transport
        if transport is None:
            return
        waiting = self.waiting
        while waiting and waiting[0].response is not None:
            request = waiting.popleft()
            transport.write(request.response or b"")
            if not request.keep:
                waiting.clear()
                self._linger()
                return
        if not waiting:
            if self.fault is not None:
                self._send_fault()
            elif self.closing:
                self._linger()
        if self.reading_paused:
            self._resume()
            self._throttle()

    def enforce_deadlines(self, now: float, limits: Limits) -> None:
        if self.stalled_at:
            if now - self.stalled_at > limits.stall:
                self.abort()
            else:
                self.lingering_at = now if self.lingering_at else 0.0  # the last answer is still on its way
        elif self.lingering_at and now - self.lingering_at > limits.linger:
            self.abort()
        elif self.receiving and now - self.started > limits.receipt and self.fault is None:
            self._fail(FramingError(408, "TOO_SLOW", "the request did not arrive in time", f"{limits.receipt:g} s"))
        elif self.idle and now - self.touched > (limits.idle if self.touched == self.started else limits.receipt):
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _let_go(self) -> None:
        """Forget the body."""
        self.edge.held -= self.held
        self.body, self.more, self.held = b"", None, 0

    def _fail(self, fault: FramingError) -> None:
        """Answer what came before, then this, then close."""
        self.fault = fault
        self.receiving = False
        self.unread = b""
        self._let_go()
        self.edge.metrics.add(key("modelmark_errors_total", status=str(fault.status), code=fault.code))
        if not self.waiting:
            self._send_fault()

    def _send_fault(self) -> None:
        fault = self.fault
        if fault is None or self.lingering_at or self.transport is None:
            return
        body = fault.body()
        self.transport.write(
            b"".join(
                (
                    REASONS[fault.status],
                    self.edge.common,
                    b"content-type: %b\r\ncontent-length: %d\r\n" % (JSON, len(body)),
                    b"retry-after: 1\r\n" if fault.status == 503 else b"",
                    b"x-request-id: %b\r\nconnection: close\r\n\r\n" % self.edge.next_id().encode(),
                    body,
                )
            )
        )
        self._linger()

    def _linger(self) -> None:
        """Stop sending, read on for a moment and throw it away: closing at once could destroy the answer on its way."""
        self.closing = True
        self.lingering_at = self.edge.loop.time()
        if self.transport is not None and self.transport.can_write_eof():
            self.transport.write_eof()

    def _too_large(self) -> FramingError:
        return FramingError(413, "BODY_TOO_LARGE", "the body is too large", f"{self.body_limit} bytes")

    def _enforce_sizes(self) -> None:
        """Bytes that llhttp has taken in and not yet shown us count too."""
        if self.in_head and self.receiving and self.head_fed > self.limits.header_bytes + self.limits.url:
            self._fail(
                FramingError(431, "HEADERS_TOO_LARGE", "the headers are too large", f"{self.limits.header_bytes} bytes")
            )
        elif not self.in_head and self.body_fed > self.body_bytes + 12 * self.chunks + self.limits.chunk_overhead:
            self._fail(
                FramingError(
                    400,
                    "CHUNK_OVERHEAD",
                    "chunk extensions or trailers are too large",
                    f"{self.limits.chunk_overhead} bytes",
                )
            )

    def hush(self, seconds: float) -> None:
        """Read nothing for a moment."""
        if not self.hushed and self.transport is not None:
            self.hushed = True
            self._throttle()
            self.edge.loop.call_later(seconds, self._listen)

    def _listen(self) -> None:
        self.hushed = False
        self._resume()
        self._throttle()

    def _throttle(self) -> None:
        """Read nothing while the client takes nothing, while too much of it waits, or for a moment."""
        stop = self.paused or self.hushed or bool(self.unread) or len(self.waiting) >= self.limits.pipelined
        if self.transport is None or stop == self.reading_paused:
            return
        self.reading_paused = stop
        if stop:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()


def _safe(data: bytes, at: int, room: int) -> int:
    """How many bytes from `at` cannot end more than `room` requests: an empty line ends each head."""
    if at == 0 and (len(data) <= SHORTEST * room or data.count(b"\n\r\n") + data.count(b"\n\n") <= room):
        return len(data)
    return min(SHORTEST * room, len(data) - at)
