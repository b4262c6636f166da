"""Traces of requests, sent as OTLP over HTTP in JSON: what OpenTelemetry's collectors take, without a library of theirs.

Off unless somebody asks. A span says which model, version and prediction it is about and where the time went; never what was asked
or answered. What cannot be sent is dropped and counted, and no answer waits for it.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import threading
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping
from time import perf_counter_ns, time_ns
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from modelmark import __version__
from modelmark.domain.errors import Rejected
from modelmark.serving.metrics import Metrics
from modelmark.serving.telling import tell
from modelmark.serving.timing.timing import Timing

#: Spans that wait to be sent, and how often that is tried, in seconds.
MOST: Final = 8192
EVERY: Final = 1.0
PATIENCE: Final = 5.0
PORT: Final = 4318
_PARENT: Final = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SERVER, _INSIDE, _FAILED = 2, 1, 2


class Tracer:
    """One a worker. Nothing of it blocks the event loop: a thread of its own sends."""

    def __init__(self, address: str, metrics: Metrics, *, share: float = 1.0) -> None:
        """share: of the requests whose caller says nothing of a trace. Raises Rejected (BAD_SETTING) for a bad address."""
        self._address, self._metrics, self._share = endpoint(address), metrics, share
        self._spans: deque[dict[str, Any]] = deque()
        self._offset = time_ns() - perf_counter_ns()
        self._told = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send_all, name="traces", daemon=True)
        self._thread.start()

    def begin(self, at: float, parent: bytes | None, *, asked: bool) -> Timing | None:
        """None for a request that is not traced. parent: the header `traceparent`, which says whether the caller traces."""
        found = _PARENT.fullmatch(parent) if parent is not None else None
        if found is None:
            if random.random() >= self._share:
                return None
            trace, above = secrets.token_hex(16), ""
        elif int(found[3], 16) & 1:
            trace, above = found[1].decode(), found[2].decode()
        else:
            return None
        return Timing(at, asked=asked, then=lambda timing, end: self._take(timing, end, trace, above))

    def close(self) -> None:
        """Send what waits, within PATIENCE."""
        self._stop.set()
        self._thread.join(2 * PATIENCE)

    def _take(self, timing: Timing, end: float, trace: str, above: str) -> None:
        if len(self._spans) >= MOST:
            self._drop(1)
            return
        root = secrets.token_hex(8)
        error = timing.facts.get("error")
        status = {"status": {"code": _FAILED, "message": str(error)}} if error else {}
        parent = {"parentSpanId": above} if above else {}
        facts = _attributes({f"modelmark.{name}": value for name, value in timing.facts.items()})
        whole = self._span(trace, root, "predict", _SERVER, timing.begin, end)
        self._spans.append({**whole, **parent, **status, "attributes": facts})
        for name, (begin, over) in timing.parts.items():
            inside = self._span(trace, secrets.token_hex(8), name, _INSIDE, begin, over)
            self._spans.append({**inside, "parentSpanId": root})

    def _span(self, trace: str, id: str, name: str, kind: int, begin: float, end: float) -> dict[str, Any]:
        return {
            "traceId": trace,
            "spanId": id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(self._offset + round(begin * 1e9)),
            "endTimeUnixNano": str(self._offset + round(end * 1e9)),
        }

    def _send_all(self) -> None:
        while True:
            last = self._stop.wait(EVERY)
            spans = [self._spans.popleft() for _ in range(len(self._spans))]
            if spans:
                self._send(spans)
            if last:
                return

    def _send(self, spans: list[dict[str, Any]]) -> None:
        resource = {"attributes": _attributes({"service.name": "modelmark", "process.pid": os.getpid()})}
        scope = {"name": "modelmark.serving", "version": __version__}
        body = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
        request = urllib.request.Request(  # noqa: S310  # http and https alone: `endpoint` sees to it
            self._address, msgspec.json.encode(body), {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):  # noqa: S310
                pass
        except (OSError, ValueError) as error:  # URLError is an OSError
            self._drop(len(spans))
            if not self._told:
                self._told = True
                tell(f"traces cannot be sent ({type(error).__name__}); they are dropped, and serving goes on")
        else:
            self._told = False

    def _drop(self, spans: int) -> None:
        self._metrics.add("modelmark_spans_dropped_total", spans)


def endpoint(address: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where traces go: of otlp://HOST[:PORT], an http(s) address as it is, or `env`, as OpenTelemetry's own variables say.

    Raises Rejected (BAD_SETTING).
    """
    if address == "env":
        whole, base = (environ.get(f"OTEL_EXPORTER_OTLP_{name}ENDPOINT", "") for name in ("TRACES_", ""))
        address = whole or (f"{base.rstrip('/')}/v1/traces" if base else "")
    try:
        found = urlsplit(address)
        if found.scheme == "otlp" and found.hostname:
            host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
            return f"http://{host}:{found.port or PORT}/v1/traces"
        if found.scheme in ("http", "https") and found.hostname:
            return address
    except ValueError:
        pass
    raise Rejected(
        "this is no address for traces", code="BAD_SETTING", field="MODELMARK_TRACE",
        limit="otlp://HOST[:PORT], http(s)://HOST/v1/traces, or env with OTEL_EXPORTER_OTLP_ENDPOINT",
    )  # fmt: skip


def _attributes(facts: Mapping[str, str | int]) -> list[dict[str, Any]]:
    """64-bit integers are strings, as protobuf's JSON has them."""
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in facts.items()
    ]
