"""Where the time of a request goes: told to whoever asks, in a header or in a trace, and to nobody else."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import loops
from batcher import Fake, loader
from inbox import Inbox
from modelmark.domain.errors import Rejected
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.serving.flavours import Runs
from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.grpc.server import GrpcServer
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.runtime import Runtime
from modelmark.serving.timing import tracing
from modelmark.serving.timing.timing import STAGES, Timing
from modelmark.serving.timing.tracing import Tracer, endpoint
from modelmark.serving.wire.native import Native

PATH = b"/models/churn/predict"
ROW = {f"f{i}": 0.5 for i in range(3)}
BODY = json.dumps({"rows": [ROW]}).encode()
PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Caller:
    """Implements `http.service.Exchange`."""

    request_id, gone, peer = "r", False, b"127.0.0.1"

    def __init__(self) -> None:
        self.ready = time.perf_counter()
        self.done = asyncio.Event()
        self.heard: tuple[int, bytes, bytes] = (0, b"", b"")

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None:
        self.heard = (status, body, extra)
        self.done.set()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    found = Inbox()
    yield found
    found.close()


@pytest.fixture
def load(tmp_path: Path):
    return loader(tmp_path / "versions")


def served(tmp_path: Path, version: Any, work: Any, **how: Any) -> Metrics:
    metrics = Metrics(None)

    async def inside() -> None:
        with Writer(Workspace(tmp_path).wal, sync=Sync.NEVER) as writer:
            address = how.get("address")
            traces = Tracer(address, metrics, share=how.get("share", 1.0)) if address else None
            runtime = Runtime(Workspace(tmp_path), writer, metrics, verifier=lambda: None, traces=traces)  # type: ignore[arg-type, return-value]
            runtime.serve_only(version)
            async with asyncio.timeout(20):
                await work(runtime)
            if traces is not None:
                await asyncio.to_thread(traces.close)

    loops.run(inside())
    return metrics


async def ask(runtime: Runtime, body: bytes = BODY, **headers: bytes) -> tuple[int, bytes, bytes]:
    caller = Caller()
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    Service(runtime, [Native()]).handle(caller, b"POST", PATH, named, body)
    await caller.done.wait()
    return caller.heard


def spans(inbox: Inbox) -> list[dict[str, Any]]:
    return [
        span for body in inbox.got for part in body["resourceSpans"] for scope in part["scopeSpans"] for span in scope["spans"]  # type: ignore[attr-defined]
    ]  # fmt: skip


def address(inbox: Inbox) -> str:
    return f"otlp://127.0.0.1:{inbox.server.server_port}"


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_a_caller_who_asks_reads_where_the_time_went(tmp_path: Path, load, runs):
    version = load(Fake(runs, lambda numbers: time.sleep(0.02)))

    async def work(runtime: Runtime) -> None:
        status, _, extra = await ask(runtime, server_timing=b"1")
        assert status == 200
        (line,) = [one for one in extra.split(b"\r\n") if one.startswith(b"server-timing: ")]
        told = dict(part.split(";dur=") for part in line.decode().partition(": ")[2].split(", "))
        assert tuple(told) == STAGES
        assert float(told["model"]) >= 20
        assert float(told["batch"]) >= float(told["model"]) + float(told["guard"]) + float(told["journal"])
        for headers in ({}, {"server_timing": b"0"}, {"traceparent": PARENT}):
            assert b"server-timing" not in (await ask(runtime, **headers))[2]

    served(tmp_path, version, work)


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_a_trace_tells_of_each_stage_and_of_nothing_that_was_asked_or_answered(tmp_path: Path, load, inbox, runs):
    version = load(Fake(runs))

    async def work(runtime: Runtime) -> None:
        await ask(runtime, traceparent=PARENT)

    served(tmp_path, version, work, address=address(inbox), share=0.0)
    found = spans(inbox)
    (root,) = [span for span in found if span["name"] == "predict"]
    assert (root["traceId"], root["parentSpanId"]) == (PARENT[3:35].decode(), PARENT[36:52].decode())
    assert root["kind"] == 2
    inside = [span for span in found if span is not root]
    assert sorted(span["name"] for span in inside) == sorted(STAGES)
    assert {(span["traceId"], span["parentSpanId"]) for span in inside} == {(root["traceId"], root["spanId"])}
    for span in inside:
        assert (
            root["startTimeUnixNano"] <= span["startTimeUnixNano"] <= span["endTimeUnixNano"] <= root["endTimeUnixNano"]
        )
    assert abs(int(root["endTimeUnixNano"]) - time.time_ns()) < 60e9
    facts = {fact["key"]: fact["value"] for fact in root["attributes"]}
    assert facts["modelmark.version"] == {"stringValue": str(version.id)}
    assert set(facts) == {
        f"modelmark.{name}"
        for name in ("model", "version", "rows", "request_id", "prediction_id", "served_by", "cached")
    }
    assert "0.5" not in json.dumps(found)


def test_what_is_refused_is_an_error_in_its_trace(tmp_path: Path, load, inbox):
    version = load(Fake(Runs.LOOP))
    far = json.dumps({"rows": [{**ROW, "f0": 1e6}]}).encode()

    async def work(runtime: Runtime) -> None:
        assert (await ask(runtime, far, traceparent=PARENT))[0] == 422

    served(tmp_path, version, work, address=address(inbox))
    (root,) = [span for span in spans(inbox) if span["name"] == "predict"]
    assert root["status"] == {"code": 2, "message": "OUT_OF_RANGE"}


@pytest.mark.parametrize(
    ("share", "parent", "traced"),
    [(0.0, None, 0), (1.0, None, 1), (1.0, PARENT[:-2] + b"00", 0), (0.0, PARENT, 1), (0.0, b"nonsense", 0)],
)
def test_whether_a_request_is_traced_is_the_caller_s_word_or_else_a_share(tmp_path, load, inbox, share, parent, traced):
    version = load(Fake(Runs.LOOP))

    async def work(runtime: Runtime) -> None:
        await ask(runtime, **({} if parent is None else {"traceparent": parent}))

    served(tmp_path, version, work, address=address(inbox), share=share)
    assert len([span for span in spans(inbox) if span["name"] == "predict"]) == traced


def test_a_collector_that_is_gone_costs_no_answer_and_is_told_of_once(tmp_path: Path, load, inbox, monkeypatch, capfd):
    version = load(Fake(Runs.LOOP))
    monkeypatch.setattr(tracing, "EVERY", 0.01)
    inbox.up = False

    async def work(runtime: Runtime) -> None:
        for _ in range(3):
            assert (await ask(runtime))[0] == 200
            await asyncio.sleep(0.05)

    metrics = served(tmp_path, version, work, address=address(inbox))
    assert metrics.counters["modelmark_spans_dropped_total"] == 3 * (1 + len(STAGES))
    assert capfd.readouterr().err.count("traces cannot be sent") == 1


def test_spans_that_nobody_takes_are_bounded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(tracing, "EVERY", 60.0)
    monkeypatch.setattr(tracing, "MOST", 5)
    metrics = Metrics(None)
    tracer = Tracer("otlp://127.0.0.1:1", metrics)
    for _ in range(9):
        timing = tracer.begin(0.0, None, asked=False)
        assert timing is not None
        timing.end(1.0)
    assert metrics.counters["modelmark_spans_dropped_total"] == 4
    tracer.close()


def test_over_grpc_it_stands_in_the_metadata(tmp_path: Path, load, inbox):
    version = load(Fake(Runs.LOOP))
    message = pb.ModelInferRequest(model_name="churn")
    for name in ROW:
        tensor = message.inputs.add(name=name, datatype="FP64", shape=[1])
        tensor.contents.fp64_contents.append(0.5)

    async def work(runtime: Runtime) -> None:
        server = GrpcServer(runtime, host="127.0.0.1", port=0, max_message=1 << 20, max_calls=4)
        port = await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            call = infer(
                message.SerializeToString(), metadata=(("server-timing", "1"), ("traceparent", PARENT.decode()))
            )
            await call
            told = dict(await call.trailing_metadata())
            assert [part.partition(";")[0] for part in str(told["server-timing"]).split(", ")] == list(STAGES)
        await server.drain(0.1)

    served(tmp_path, version, work, address=address(inbox), share=0.0)
    assert {span["traceId"] for span in spans(inbox)} == {PARENT[3:35].decode()}


def test_addresses_are_read_and_what_is_none_is_refused():
    assert endpoint("otlp://h") == "http://h:4318/v1/traces"
    assert endpoint("otlp://[::1]:1234") == "http://[::1]:1234/v1/traces"
    assert endpoint("https://h/v1/traces") == "https://h/v1/traces"
    assert endpoint("env", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:1/"}) == "http://h:1/v1/traces"
    assert endpoint("env", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:1/x"}) == "http://h:1/x"
    for wrong in ("h:4318", "otlp://", "file:///etc/passwd", "env", "http://[::1"):
        with pytest.raises(Rejected) as caught:
            endpoint(wrong, {})
        assert (caught.value.code, caught.value.field) == ("BAD_SETTING", "MODELMARK_TRACE")


def test_without_a_trace_nothing_of_it_is_loaded():
    code = "import sys, modelmark.serving.worker; print({'modelmark.serving.timing.tracing', 'urllib.request'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "modelmark.serving.timing.tracing" not in done.stdout, done.stdout + done.stderr


def test_a_stage_that_comes_again_counts_once():
    timing = Timing(0.0, asked=True)
    timing.part("model", 0.0, 1.0)
    timing.part("model", 2.0, 2.5)
    assert timing.header() == b"server-timing: model;dur=500.000\r\n"
