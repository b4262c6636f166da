"""Addresses to actions: one table, rebuilt whenever the release snapshot changes."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Final

import msgspec

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Malformed, Missing, ModelmarkError, NotYet, Overloaded, TooLarge
from modelmark.serving import routing
from modelmark.serving.answers import Call, Exchange
from modelmark.serving.metrics import key
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime
from modelmark.serving.status import Unsupported, body_of, status_of
from modelmark.serving.wire import Endpoint, Predict, Wire

TEXT: Final = b"text/plain; version=0.0.4; charset=utf-8"
#: Allowed where no model says otherwise.
DEFAULT_BODY: Final = 8 * 1024 * 1024
_FRAME: Final = b"inference-header-content-length"
_COMPRESSION: Final = frozenset({b"", b"identity"})


class Service:
    """What the edge calls. Every request gets exactly one reply."""

    def __init__(self, runtime: Runtime, wires: list[Wire]) -> None:
        self.runtime = runtime
        self.wires = wires
        self.max_body = DEFAULT_BODY
        self._table: dict[bytes, dict[bytes, Endpoint]] = {}
        self._limits: dict[bytes, int] = {}
        runtime.on_change = self.rebuild
        runtime.on_error = self._failed
        self.rebuild()

    def rebuild(self) -> None:
        table: dict[bytes, dict[bytes, Endpoint]] = {}
        for wire in self.wires:
            for method, path, endpoint in wire.endpoints(self.runtime.routes):
                methods = table.setdefault(path.encode(), {})
                methods[method.encode()] = endpoint
                if method == "GET":
                    methods[b"HEAD"] = endpoint
        self._table = table
        self._limits = {
            path: self.runtime.routes[endpoint.model].champion.contract.serving.max_body_bytes
            for path, methods in table.items()
            for endpoint in methods.values()
            if isinstance(endpoint, Predict)
        }
        limits = [r.champion.contract.serving.max_body_bytes for r in self.runtime.routes.values()]
        self.max_body = max(limits, default=DEFAULT_BODY)

    def body_limit(self, url: bytes) -> int:
        """Largest body for an address, known before the body arrives."""
        found = self._limits.get(url)
        return found if found is not None else self._limits.get(url.partition(b"?")[0], self.max_body)

    def handle(
        self, exchange: Exchange, method: bytes, url: bytes, headers: Mapping[bytes, bytes], body: bytes
    ) -> None:
        """Answer, now or with the next flush."""
        methods = self._table.get(url)
        if methods is None:
            url = url.partition(b"?")[0]
            methods = self._table.get(url)
        endpoint = methods.get(method) if methods is not None else None
        try:
            if type(endpoint) is Predict:
                self._predict(exchange, endpoint, headers, body)
            elif endpoint is not None:
                self._plain(exchange, endpoint, headers, body)
            elif url == b"/metrics" and method in (b"GET", b"HEAD"):
                self.runtime.tidy()
                exchange.reply(200, self.runtime.metrics.exposition(), TEXT)
            elif methods is not None or url == b"/metrics":
                allowed = b", ".join(sorted(methods or (b"GET", b"HEAD")))
                self._not_allowed(exchange, allowed)
            else:
                raise self._missing(url)
        except ModelmarkError as error:
            self._refuse(exchange, error, endpoint.model if isinstance(endpoint, Predict) else "")

    def _plain(self, exchange: Exchange, endpoint: Endpoint, headers: Mapping[bytes, bytes], body: bytes) -> None:
        if isinstance(endpoint, Predict):
            raise TypeError("a prediction is no plain endpoint")
        if body:
            _hold_json(headers)
        status, value = endpoint(self.runtime, body)
        exchange.reply(status, msgspec.json.encode(value))

    def _predict(self, exchange: Exchange, endpoint: Predict, headers: Mapping[bytes, bytes], body: bytes) -> None:
        wire, arm = _framing(endpoint, headers), endpoint.arm
        received = perf_counter()
        route = self.runtime.route(endpoint.model)
        limit = route.champion.contract.serving.max_body_bytes
        if len(body) > limit:
            raise TooLarge("the body is too large", limit=f"{limit} bytes")
        if arm is None:
            arm = 0 if len(route.arms) == 1 else self._arm(route, wire, body, exchange.request_id)
        parsed = wire.parse(body, route.arms[arm].version.codec)

        def reparse(codec: RowCodec) -> Rows:
            return wire.parse(body, codec).rows

        self.runtime.submit(
            Call(exchange, route, arm, parsed.rows, parsed.entity, received, len(body), reparse, parsed.render)
        )

    def _arm(self, route: LiveRoute, wire: Wire, body: bytes, request_id: str) -> int:
        """Sticky by entity: as the request names it, else as its first row does, else by request."""
        who = wire.entity(body) or _entity_in_rows(route, wire, body) or request_id
        return routing.pick(route.weights, routing.position(route.model, who))

    def _failed(self, call: Call, error: ModelmarkError) -> None:
        self._refuse(call.exchange, error, call.route.model)

    def _refuse(self, exchange: Exchange, error: ModelmarkError, model: str) -> None:
        status = status_of(error)
        self.runtime.metrics.add(key("modelmark_errors_total", status=str(status), code=error.code))
        if model and model in self.runtime.routes:
            known = error.field if error.field in self.runtime.routes[model].champion.codec.names else ""
            self.runtime.note_refusal(model, error.code, known or "")
        extra = b""
        if isinstance(error, Overloaded):
            extra = b"retry-after: %d\r\n" % error.retry_after
        elif status == 503:
            extra = b"retry-after: 1\r\n"
        exchange.reply(status, body_of(error), b"application/json", extra)

    def _not_allowed(self, exchange: Exchange, allowed: bytes) -> None:
        self.runtime.metrics.add(key("modelmark_errors_total", status="405", code="METHOD_NOT_ALLOWED"))
        body = {"error": "this address takes other methods", "code": "METHOD_NOT_ALLOWED", "limit": allowed.decode()}
        exchange.reply(405, msgspec.json.encode(body), b"application/json", b"allow: %b\r\n" % allowed)

    def _missing(self, url: bytes) -> ModelmarkError:
        path = url.decode("latin-1")
        for wire in self.wires:
            name = wire.unknown(path)
            if name is not None:
                if name in self.runtime.routes:
                    return Missing("the model serves no such version or action", code="NOT_FOUND", field=name)
                if name in self.runtime.health.unserved:
                    return NotYet(
                        "no released version of this model could be loaded",
                        code="MODEL_UNAVAILABLE",
                        hint="GET /v2/health/ready says why",
                    )
                return Missing("no model of that name is served", code="UNKNOWN_MODEL")
        return Missing("there is nothing at this address", code="NOT_FOUND")


def _framing(endpoint: Predict, headers: Mapping[bytes, bytes]) -> Wire:
    """The protocol for a body, as its headers describe it. Raises Malformed, Unsupported."""
    head = headers.get(_FRAME)
    if head is None or endpoint.framed is None:
        _hold_json(headers)
        return endpoint.wire
    _hold_json({name: value for name, value in headers.items() if name not in (_FRAME, b"content-type")})
    if len(head) > 18 or not head.isdigit():
        raise Malformed("the JSON's length is no number", code="BAD_BINARY", limit="digits")
    return endpoint.framed(int(head))


def _hold_json(headers: Mapping[bytes, bytes]) -> None:
    if _FRAME in headers:
        raise Malformed("binary tensors are not taken", code="BINARY_NOT_SUPPORTED", limit="JSON")
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in _COMPRESSION:
        raise Unsupported("compressed bodies are not taken", code="UNSUPPORTED_ENCODING", limit="identity")
    kind = headers.get(b"content-type")
    if kind is None or kind == b"application/json":
        return
    media, _, parameters = kind.partition(b";")
    charset = parameters.strip().lower().removeprefix(b"charset=").strip(b'"')
    if media.strip().lower() != b"application/json" or charset not in (b"", b"utf-8"):
        raise Unsupported("send JSON", limit="application/json, UTF-8")


def _entity_in_rows(route: LiveRoute, wire: Wire, body: bytes) -> str | None:
    """The first row's value of the entity key, where that is an input of the champion."""
    name = route.champion.contract.data.entity_key
    codec = route.champion.codec
    if name is None or name not in codec.names:
        return None
    rows = wire.parse(body, codec).rows
    for j, column in enumerate(codec.textual):
        if column.name == name:
            return rows.texts[j]
    return next((rows.numbers[8 * j : 8 * j + 8].hex() for j, c in enumerate(codec.numeric) if c.name == name), None)
