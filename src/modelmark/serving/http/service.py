"""Addresses to actions: one table over all protocols, made anew whenever other models are served."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Missing, ModelmarkError, NotYet, Overloaded, TooLarge
from modelmark.serving import routing
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.runtime import Routes, Runtime
from modelmark.serving.wire import Endpoint, Headers, Plain, Predict, Reply, Wire
from modelmark.serving.wire.errors import MethodNotAllowed, refusal

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
    render: Callable[[Answer], Reply] | None = None

    @property
    def gone(self) -> bool:
        return self.exchange.gone

    def answer(self, answer: Answer) -> None:
        if self.render is None:
            raise TypeError("nothing was parsed, so nothing can be answered")
        reply = self.render(answer)
        self.exchange.reply(reply.status, reply.body, reply.content_type, reply.extra)

    def refuse(self, error: ModelmarkError) -> None:
        reply, extra = self.refusal(error), b""
        self.metrics.add(key("modelmark_errors_total", status=str(reply.status), code=error.code))
        if isinstance(error, Overloaded):
            extra = b"retry-after: %d\r\n" % error.retry_after
        elif isinstance(error, NotYet):
            extra = b"retry-after: 1\r\n"
        elif isinstance(error, MethodNotAllowed):
            extra = b"allow: %b\r\n" % (error.limit or "").encode()
        self.exchange.reply(reply.status, reply.body, reply.content_type, reply.extra + extra)


class Service:
    """What the edge calls. Every request gets exactly one reply. headers: those that somebody here reads."""

    def __init__(self, runtime: Runtime, wires: list[Wire]) -> None:
        self.runtime = runtime
        self.wires = wires
        self.headers = frozenset().union(*(wire.headers for wire in wires))
        self._table: dict[bytes, dict[bytes, Endpoint]] = {}
        self._limits: dict[bytes, int] = {}
        self._max_body = DEFAULT_BODY
        self._routes: Routes | None = None

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
        limits = {model: route.champion.contract.serving.max_body_bytes for model, route in routes.items()}
        self._limits = {
            path: limits[endpoint.model]
            for path, methods in table.items()
            for endpoint in methods.values()
            if isinstance(endpoint, Predict)
        }
        self._max_body = max(limits.values(), default=DEFAULT_BODY)

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
        try:
            if type(endpoint) is Predict:
                self._predict(exchange, endpoint, headers, body)
            elif type(endpoint) is Plain:
                reply = endpoint.act(self.runtime, body, headers)
                exchange.reply(reply.status, reply.body, reply.content_type, reply.extra)
            elif url == b"/metrics" and method in (b"GET", b"HEAD"):
                exchange.reply(200, self.runtime.metrics_text(), TEXT, b"")
            elif methods is not None or url == b"/metrics":
                allowed = b", ".join(sorted(methods or (b"GET", b"HEAD"))).decode()
                raise MethodNotAllowed("this address takes other methods", limit=allowed)
            else:
                raise self._missing(url)
        except ModelmarkError as error:
            model = endpoint.model if type(endpoint) is Predict else ""
            form = self._form(url, endpoint, methods)
            self.runtime.refuse(HttpResponder(exchange, exchange.request_id, self.runtime.metrics, form), error, model)

    def _predict(self, exchange: Exchange, endpoint: Predict, headers: Headers, body: bytes) -> None:
        wire, arm, runtime = endpoint.wire, endpoint.arm, self.runtime
        received = exchange.ready
        route = runtime.route(endpoint.model)
        limit = route.champion.contract.serving.max_body_bytes
        if len(body) > limit:
            raise TooLarge("the body is too large", limit=f"{limit} bytes")

        def reparse(codec: RowCodec) -> Rows:
            return wire.parse(body, headers, codec).rows

        if arm is None:
            arm = 0
            if len(route.arms) > 1:
                arm = routing.choose(route, wire.entity(body, headers), reparse, exchange.request_id)
        version = route.arms[arm].version
        due, caller = received + version.deadline, _caller(exchange, headers)
        runtime.require_room(version, caller, due)
        parsed = wire.parse(body, headers, version.codec)
        responder = HttpResponder(exchange, exchange.request_id, runtime.metrics, wire.refusal, parsed.render)
        runtime.submit(
            PredictRequest(responder, route, arm, parsed.rows, parsed.entity, received, due, len(body), reparse, caller)
        )

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


def _caller(exchange: Exchange, headers: Headers) -> bytes:
    """Whom a request counts for when many want more than there is: as whoever let it in names it, else where it came from.
    It is compared and forgotten, never kept or told."""
    return headers.get(b"authorization") or headers.get(b"x-api-key") or exchange.peer
