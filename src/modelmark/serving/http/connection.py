"""One connection of HTTP/1.1: keep-alive, pipelining, deadlines, back-pressure; nothing else.

Everything a client can do wrong ends in one error with a JSON body and a closed connection; nothing a client does makes
memory grow beyond the limits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import cached_property
from time import perf_counter
from typing import Final, cast

from modelmark.serving.http.edge import Edge
from modelmark.serving.http.framing import JSON, REASONS, REQUEST_ID, FramingError, Limits
from modelmark.serving.http.message import Message
from modelmark.serving.http.remembered import RememberedHead
from modelmark.serving.metrics import key

#: No request is shorter, in bytes.
SHORTEST: Final = 16
#: What a handshake may leave to be sent, in bytes.
HANDSHAKE_BYTES: Final = 16 * 1024


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
        connection = self.connection
        edge = connection.edge
        if edge.draining or (connection.leaves and connection.waiting[-1] is self):
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
        if status != 429 or not edge.late.hold(connection):
            connection.send()


class Connection(asyncio.Protocol):
    """One connection: requests in, in order; answers out, in the same order. Every limit holds while bytes arrive."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self.limits = edge.limits
        self.transport: asyncio.Transport | None = None
        self.message: Message | None = None
        self.waiting: deque[Request] = deque()
        self.fault: FramingError | None = None
        self.started = self.touched = 0.0
        self.stalled_at = self.lingering_at = 0.0
        self.paused = self.reading_paused = False
        self.closing = self.ended = self.spare = self.secure = self.leaves = False
        self.unread, self.taken, self.resuming = b"", 0, False
        self.whole = b""
        self.remembered: RememberedHead | None = None

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
        self.secure = self.transport.get_extra_info("sslcontext") is not None
        # whatever the kernel does not take at once starts the clock, beyond what TLS itself has to say at first
        self.transport.set_write_buffer_limits(high=HANDSHAKE_BYTES if self.secure else 0)
        self.message = Message(self.edge, self)

    @cached_property
    def peer(self) -> bytes:
        """The address of the other end, without port."""
        found = self.transport.get_extra_info("peername") if self.transport is not None else None
        return str(found[0]).encode() if found else b""

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.unread = b""
        if self.message is not None:
            self.message.let_go()
            self.message = None
        self.waiting.clear()
        self.edge.connections.discard(self)

    def eof_received(self) -> bool:
        """A client that half-closes still gets what it asked for, when that takes no time: it may have gone altogether."""
        self.ended = True
        if self.secure:
            return False  # TLS knows no half-closed connection
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
        message = self.message
        if self.closing or self.fault is not None or message is None:
            return
        if self.unread:
            self.unread += data
            return
        if message.untouched:
            if self.remembered is not None and self._same_again(message, self.remembered, data):
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
        while at < len(data) and not self.closing and self.fault is None and self.message is not None:
            room = self.limits.pipelined - max(self.taken, len(self.waiting))
            if room <= 0 or self.paused:
                self.unread = data[at:]
                break
            size = _safe(data, at, room)
            self._parse(self.message, data if size == len(data) else data[at : at + size])
            at += size
        if self.unread or self.reading_paused or len(self.waiting) >= self.limits.pipelined:
            self._resume()
            self._throttle()

    def _parse(self, message: Message, data: bytes) -> None:
        try:
            message.feed(data)
        except FramingError as fault:
            if not self.closing:
                self._fail(fault)
        self.closing = self.closing or message.upgraded

    def _resume(self) -> None:
        """Read on in the next turn what was left unread, when there is room for it."""
        if self.unread and not (self.resuming or self.paused) and len(self.waiting) < self.limits.pipelined:
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

    # message.Owner

    def begin(self) -> None:
        self.started = self.edge.loop.time()

    def go_on(self) -> None:
        if not self.waiting and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def complete(self, method: bytes, keep: bool, body: bytes) -> None:
        message = self.message
        if self.closing or message is None:
            return  # an answer before this one ended the connection
        self.touched = self.started
        given = message.headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            echo, request_id = given, given.decode()
        else:
            request_id = self.edge.next_id()
            echo = request_id.encode()
        keep = keep and not self.spare
        request = Request(self, request_id, echo, keep, method == b"HEAD")
        self.waiting.append(request)
        self.taken += 1
        if keep and given is None and self.whole:
            self._remember(message, method, body)
        self._handle(message, request, method, body)

    # ours

    def _handle(self, message: Message, request: Request, method: bytes, body: bytes) -> None:
        edge = self.edge
        try:
            edge.service.handle(request, method, message.url, message.headers, body)
        except Exception as error:  # noqa: BLE001  # a defect of ours must not show, nor take the worker down
            edge.loop.call_exception_handler({"message": "a request handler failed", "exception": error})
            edge.metrics.add(key("modelmark_errors_total", status="500", code="INTERNAL"))
            if request.response is None:
                request.reply(500, b'{"error":"the server made a mistake","code":"INTERNAL"}', JSON, b"")

    def _remember(self, message: Message, method: bytes, body: bytes) -> None:
        """The head of a request that came alone and in one piece."""
        head, self.whole = self.whole[: len(self.whole) - len(body)], b""
        if body and b"content-length" in message.headers and b"expect" not in message.headers:
            self.remembered = RememberedHead.of(head, message.header_count, method)

    def _same_again(self, message: Message, head: RememberedHead, data: bytes) -> bool:
        """Take a request whose head is the last one's, `message`'s, without parsing it. False: it must be parsed, nothing
        was done."""
        edge, body = self.edge, head.body(data)
        if body is None or len(body) > edge.body_limit(message.url):
            return False
        if edge.held + len(body) > self.limits.held or len(self.waiting) + 1 >= self.limits.pipelined:
            return False
        self.touched = self.started = edge.loop.time()
        request_id = edge.next_id()
        request = Request(self, request_id, request_id.encode(), True, False)
        self.waiting.append(request)
        self._handle(message, request, head.method, body)
        return True

    @property
    def idle(self) -> bool:
        message = self.message
        receiving = message is not None and message.receiving
        return not self.waiting and not receiving and not self.lingering_at and not self.unread

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
        elif (
            self.message is not None
            and self.message.receiving
            and now - self.started > limits.receipt
            and self.fault is None
        ):
            self._fail(FramingError(408, "TOO_SLOW", "the request did not arrive in time", f"{limits.receipt:g} s"))
        elif self.idle and now - self.touched > (limits.idle if self.touched == self.started else limits.receipt):
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def _fail(self, fault: FramingError) -> None:
        """Answer what came before, then this, then close."""
        self.fault = fault
        self.unread = b""
        if self.message is not None:
            self.message.receiving = False
            self.message.let_go()
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

    def _throttle(self) -> None:
        """Read nothing while the client takes nothing, or while too much of it waits."""
        stop = self.paused or bool(self.unread) or len(self.waiting) >= self.limits.pipelined
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
