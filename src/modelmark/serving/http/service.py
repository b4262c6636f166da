"""Addresses to actions: one table over all protocols, made anew whenever other models are served."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from time import perf_counter
from typing import Final, Protocol

import msgspec

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Missing, ModelmarkError, NoKey, NotYet, Overloaded, TimedOut, TooLarge
from modelmark.serving import routing
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.entry.access import Need, need_of
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import LARGE_BODY, Routes, Runtime
from modelmark.serving.timing.timing import Timing
from modelmark.serving.wire import Endpoint, Headers, Later, Parsed, Plain, Predict, Reply, Wire
from modelmark.serving.wire.compression import ENCODING, unpacked
from modelmark.serving.wire.errors import Doubtful, Heavy, MethodNotAllowed, refusal
from modelmark.serving.wire.event import AT, happened

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
#: Allowed where no model says otherwise.
DEFAULT_BODY: Final = 8 * 1024 * 1024


class Exchange(Protocol):
    """One HTTP request, waiting for its reply. ready: when all of it had arrived, by `perf_counter`."""

    request_id: str
    ready: float

    @property
    def peer(self) -> bytes:
        """The address it came from, without port."""
        ...

    @property
    def gone(self) -> bool:
        """The caller has hung up."""
        ...

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None: ...


class HttpResponder(msgspec.Struct, eq=False):
    """Implements `answers.Responder` in the form of one protocol. render: None while there can be refusals alone."""

    exchange: Exchange
    request_id: str
    metrics: Metrics
    refusal: Callable[[ModelmarkError], Reply]
    render: Callable[[Answer], Reply | Later] | None = None
    timing: Timing | None = None

    @property
    def gone(self) -> bool:
        return self.exchange.gone

    def answer(self, answer: Answer) -> None:
        if self.render is None:
            raise TypeError("nothing was parsed, so nothing can be answered")
        reply = self.render(answer)
        if isinstance(reply, Later):
            reply.begin(self._send)
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        timing = self.timing
        extra = reply.extra if timing is None or not timing.asked else reply.extra + timing.header()
        self.exchange.reply(reply.status, reply.body, reply.content_type, extra)

    def refuse(self, error: ModelmarkError) -> None:
        if type(error) is Overloaded:
            reply, series = _no_room(self.refusal, error.message, error.retry_after)
        else:
            reply, series = _refused(self.refusal, error)
        self.metrics.add(series)
        self.exchange.reply(reply.status, reply.body, reply.content_type, reply.extra)


def _refused(form: Callable[[ModelmarkError], Reply], error: ModelmarkError) -> tuple[Reply, str]:
    """(the reply with what HTTP says of such an error, the series that counts it)"""
    reply, extra = form(error), b""
    if isinstance(error, Overloaded):
        extra = b"retry-after: %d\r\n" % error.retry_after
    elif isinstance(error, NoKey):
        extra = b"www-authenticate: Bearer\r\n"
    elif isinstance(error, NotYet):
        extra = b"retry-after: 1\r\n"
    elif isinstance(error, MethodNotAllowed):
        extra = b"allow: %b\r\n" % (error.limit or "").encode()
    series = key("modelmark_errors_total", status=str(reply.status), code=error.code)
    return Reply(reply.status, reply.body, reply.content_type, reply.extra + extra), series


@lru_cache(maxsize=64)
def _no_room(form: Callable[[ModelmarkError], Reply], message: str, retry_after: int) -> tuple[Reply, str]:
    """The same for one that is overloaded: those are many, and the same again. An error that was raised is not kept, because it
    keeps all that was there."""
    return _refused(form, Overloaded(message, retry_after=retry_after))


class Asked:
    """A request for predictions whose body is not read yet."""

    __slots__ = ("apart", "arm", "body", "caller", "due", "exchange", "headers", "route", "size", "wire")

    def __init__(
        self,
        exchange: Exchange,
        wire: Wire,
        route: LiveRoute,
        arm: int | None,
        headers: Headers,
        body: bytes,
        caller: bytes | None,
    ) -> None:
        """arm: the only one that may answer, None to let the router choose. caller: whose key was shown."""
        self.exchange, self.wire, self.route, self.headers, self.body = exchange, wire, route, headers, body
        self.size = len(body)  # as it came
        self.apart = False  # it is read off the loop
        self.arm = 0 if arm is None and len(route.arms) == 1 else arm
        self.due = exchange.ready + route.arms[self.arm or 0].version.deadline
        self.caller = caller or headers.get(b"authorization") or headers.get(b"x-api-key") or exchange.peer

    def require_room(self, runtime: Runtime) -> None:
        """Raises Overloaded when the version that would answer could not do so in time. Which that is may be in the body;
        then this is asked later."""
        if self.arm is not None:
            runtime.require_room(self.route.arms[self.arm].version, self.caller, self.due)

    def read(self) -> tuple[int, Parsed]:
        """(the arm that answers, the body as its version reads it). Raises Rejected."""
        if ENCODING in self.headers:
            limit = self.route.champion.contract.serving.max_body_bytes
            self.body, self.headers = unpacked(self.body, self.headers, limit)
        if self.arm is None:
            entity = self.wire.entity(self.body, self.headers)
            self.arm = routing.choose(self.route, entity, self.rows, self.exchange.request_id)
        return self.arm, self._parsed(self.route.arms[self.arm].version.codec)

    def rows(self, codec: RowCodec) -> Rows:
        """As another version reads them. Raises Rejected."""
        return self._parsed(codec).rows

    def _parsed(self, codec: RowCodec) -> Parsed:
        """Raises Heavy on the loop."""
        try:
            return self.wire.parse(self.body, self.headers, codec)
        except Heavy as error:
            if not self.apart:
                raise
            return error.read()

    def read_in_time(self) -> tuple[int, Parsed]:
        """The same. Raises TimedOut too, when it had to wait too long to be read."""
        if perf_counter() > self.due:
            raise TimedOut("the answer would come too late", hint="send fewer rows, or try again later")
        try:
            return self.read()
        except Doubtful as error:
            return _diagnose(error)

    def unless_gone(self, work: Callable[[], tuple[int, Parsed]]) -> Callable[[], tuple[int, Parsed] | None]:
        """The work, done only when there is still somebody to answer then."""
        return lambda: None if self.exchange.gone else work()

    def submit(self, runtime: Runtime, arm: int, parsed: Parsed) -> None:
        """Raises Rejected for a moment that cannot be, NotYet and Overloaded, having taken nothing."""
        exchange, ready = self.exchange, self.exchange.ready
        timing = runtime.timing(ready, self.headers)
        if timing is not None:
            timing.part("parse", ready, perf_counter())
        responder = HttpResponder(
            exchange, exchange.request_id, runtime.metrics, self.wire.refusal, parsed.render, timing
        )
        due, size = ready + self.route.arms[arm].version.deadline, len(self.body)
        event = parsed.event or (happened(self.headers[AT]) if AT in self.headers else b"")
        runtime.submit(
            PredictRequest(
                responder,
                self.route,
                arm,
                parsed.rows,
                parsed.entity,
                ready,
                due,
                size,
                self.rows,
                self.caller,
                timing,
                event,
            )
        )


class Service:
    """What the edge calls. Every request gets exactly one reply. headers: those that somebody here reads."""

    def __init__(self, runtime: Runtime, wires: list[Wire]) -> None:
        self.runtime = runtime
        self.wires = wires
        self.headers = frozenset().union(*(wire.headers for wire in wires))
        self._table: dict[bytes, dict[bytes, Endpoint]] = {}
        self._limits: dict[bytes, int] = {}
        self._needs: dict[tuple[bytes, bytes], tuple[Need, str | None]] = {}
        self._max_body = DEFAULT_BODY
        self._routes: Routes | None = None
        self._reading = 0  # bytes of the bodies that are read off the loop, or wait for it
        self._tasks: set[asyncio.Task[None]] = set()

    def _follow(self) -> None:
        """Make the table of the models that are served now."""
        self._routes = routes = self.runtime.routes
        table: dict[bytes, dict[bytes, Endpoint]] = {}
        for wire in self.wires:
            for method, path, endpoint in wire.endpoints(routes):
                methods = table.setdefault(path.encode(), {})
                methods[method.encode()] = endpoint
                if method == "GET":
                    methods[b"HEAD"] = endpoint
        self._table = table
        self._needs = {}
        limits = {model: route.champion.contract.serving.max_body_bytes for model, route in routes.items()}
        self._limits = {
            path: limits[endpoint.model]
            for path, methods in table.items()
            for endpoint in methods.values()
            if isinstance(endpoint, Predict)
        }
        self._max_body = max(limits.values(), default=DEFAULT_BODY)

    def _need(self, path: bytes, method: bytes, endpoint: Endpoint | None) -> tuple[Need, str | None]:
        """What an address needs, and which model it names; remembered where there is one."""
        found = self._needs.get((path, method))
        if found is not None:
            return found
        address, predicts = path.decode("latin-1"), type(endpoint) is Predict
        model = endpoint.model if isinstance(endpoint, Predict) else None
        if model is None and (wire := self._wire_like(path)) is not None:
            named = wire.unknown(address)
            model = named if endpoint is None or named in self.runtime.routes else None
        found = need_of(method.decode("latin-1"), address, predicts=predicts, model=model), model
        if endpoint is not None:
            self._needs[path, method] = found
        return found

    def body_limit(self, url: bytes) -> int:
        """Largest body for an address, known before the body arrives."""
        if self._routes is not self.runtime.routes:
            self._follow()
        found = self._limits.get(url)
        return found if found is not None else self._limits.get(url.partition(b"?")[0], self._max_body)

    def handle(self, exchange: Exchange, method: bytes, url: bytes, headers: Headers, body: bytes) -> None:
        """Answer, now or with the next flush."""
        if self._routes is not self.runtime.routes:
            self._follow()
        methods = self._table.get(url)
        if methods is None:
            url = url.partition(b"?")[0]
            methods = self._table.get(url)
        endpoint = methods.get(method) if methods is not None else None
        caller, access = None, self.runtime.access
        try:
            if access.watches:
                need, model = self._need(url, method, endpoint)
                caller = access.admit((headers.get(b"authorization"), headers.get(b"x-api-key")), need, model)
        except ModelmarkError as error:  # of nobody known, it says nothing about a model
            self._responder(exchange, self._form(url, endpoint, methods)).refuse(error)
            return
        try:
            if type(endpoint) is Predict:
                self._predict(exchange, endpoint, headers, body, caller)
            elif type(endpoint) is Plain:
                reply = endpoint.act(self.runtime, *unpacked(body, headers, self._max_body))
                exchange.reply(reply.status, reply.body, reply.content_type, reply.extra)
            elif url == b"/metrics" and method in (b"GET", b"HEAD"):
                exchange.reply(200, self.runtime.metrics_text(), TEXT, b"")
            elif methods is not None or url == b"/metrics":
                allowed = b", ".join(sorted(methods or (b"GET", b"HEAD"))).decode()
                raise MethodNotAllowed("this address takes other methods", limit=allowed)
            else:
                raise self._missing(url)
        except ModelmarkError as error:
            responder = self._responder(exchange, self._form(url, endpoint, methods))
            asked = self._routes.get(endpoint.model) if self._routes and type(endpoint) is Predict else None
            self.runtime.refuse(responder, error, asked, endpoint.arm if type(endpoint) is Predict else None)

    def _predict(
        self, exchange: Exchange, endpoint: Predict, headers: Headers, body: bytes, caller: bytes | None
    ) -> None:
        wire, runtime = endpoint.wire, self.runtime
        route = runtime.route(endpoint.model)
        limit = route.champion.contract.serving.max_body_bytes
        if len(body) > limit:
            raise TooLarge("the body is too large", limit=f"{limit} bytes")
        asked = Asked(exchange, wire, route, endpoint.arm, headers, body, caller)
        try:
            asked.require_room(runtime)
            if len(body) > LARGE_BODY or ENCODING in headers:
                self._apart(asked, asked.read_in_time)
            else:
                self._read(asked)
        except ModelmarkError as error:
            runtime.refuse(self._responder(exchange, wire.refusal), error, route, asked.arm)

    def _read(self, asked: Asked) -> None:
        try:
            read = asked.read()
        except Doubtful as error:
            self._apart(asked, partial(_diagnose, error))
        except Heavy:
            self._apart(asked, asked.read_in_time)
        else:
            asked.submit(self.runtime, *read)

    def _apart(self, asked: Asked, work: Callable[[], tuple[int, Parsed]]) -> None:
        """Read a large body, or find what is wrong with one, in a thread. Raises Overloaded when too many bytes wait there."""
        if self._reading + asked.size > self.runtime.batcher.max_bytes:
            raise Overloaded("too many large bodies are waiting", retry_after=1)
        self._reading += asked.size
        asked.apart = True
        task = asyncio.get_running_loop().create_task(self._read_apart(asked, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_apart(self, asked: Asked, work: Callable[[], tuple[int, Parsed]]) -> None:
        runtime, loop = self.runtime, asyncio.get_running_loop()
        responder = self._responder(asked.exchange, asked.wire.refusal)
        try:
            read = await loop.run_in_executor(runtime.reader, asked.unless_gone(work))
            if read is not None:
                asked.submit(runtime, *read)
        except ModelmarkError as error:
            runtime.refuse(responder, error, asked.route, asked.arm)
        except Exception as error:  # noqa: BLE001  # a defect of ours must not leave the caller without an answer
            loop.call_exception_handler({"message": "a large body could not be read", "exception": error})
            runtime.refuse(responder, ModelmarkError("the server made a mistake"), asked.route, asked.arm)
        finally:
            self._reading -= asked.size

    def _responder(self, exchange: Exchange, form: Callable[[ModelmarkError], Reply]) -> HttpResponder:
        """For a refusal alone."""
        return HttpResponder(exchange, exchange.request_id, self.runtime.metrics, form)

    def _form(
        self, url: bytes, endpoint: Endpoint | None, methods: dict[bytes, Endpoint] | None
    ) -> Callable[[ModelmarkError], Reply]:
        """The error form for an address: its protocol's, or that of the protocol it looks like."""
        if endpoint is None and methods:
            endpoint = next(iter(methods.values()))
        if endpoint is not None:
            return endpoint.wire.refusal
        wire = self._wire_like(url)
        return refusal if wire is None else wire.refusal

    def _wire_like(self, url: bytes) -> Wire | None:
        path = url.decode("latin-1")
        return next((wire for wire in self.wires if wire.unknown(path) is not None), None)

    def _missing(self, url: bytes) -> ModelmarkError:
        path = url.decode("latin-1")
        for wire in self.wires:
            name = wire.unknown(path)
            if name is not None:
                return self.runtime.missing(name)
        return Missing("there is nothing at this address", code="NOT_FOUND")


def _diagnose(error: Doubtful) -> tuple[int, Parsed]:
    """Raises what is wrong with a body."""
    raise error.diagnose() from None
