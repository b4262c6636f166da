"""Large bodies are read beside the loop, in bounded number, for callers who are still there; and what a request counts for."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

import loops
import serving_case as case
from modelmark.domain.contract import Serving
from modelmark.domain.errors import Overloaded
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal import keys
from modelmark.serving.answers import PredictRequest
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LoadedModel, load_marked
from modelmark.serving.runtime import LARGE_BODY, Runtime
from modelmark.serving.wire.native import Native

PATH = b"/models/churn/predict"
ROW = {f"f{i}": 0.5 for i in range(3)}
SMALL = json.dumps({"rows": [ROW]}).encode()
LARGE = SMALL + b" " * LARGE_BODY


class Caller:
    """Implements `http.service.Exchange`."""

    request_id, gone, peer = "r", False, b"127.0.0.1"

    def __init__(self, *, ago: float = 0.0) -> None:
        self.ready = perf_counter() - ago
        self.heard: list[tuple[int, dict[str, Any], bytes]] = []
        self.done = asyncio.Event()

    def reply(self, status: int, body: bytes, content_type: bytes, extra: bytes) -> None:
        self.heard.append((status, json.loads(body), extra))
        self.done.set()


class Watched(Native):
    """Remembers in which thread it read."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[str] = []
        self.hold = threading.Event()
        self.hold.set()

    def parse(self, body, headers, codec):
        self.threads.append(threading.current_thread().name.partition("_")[0])
        assert self.hold.wait(5)
        return super().parse(body, headers, codec)


class Bench:
    def __init__(self, runtime: Runtime, most: int) -> None:
        self.runtime, self.wire = runtime, Watched()
        self.service = Service(runtime, [self.wire])
        runtime.batcher.max_bytes = most

    def ask(self, body: bytes, *, headers: dict[bytes, bytes] | None = None, **how: Any) -> Caller:
        caller = Caller(**how)
        self.service.handle(caller, b"POST", PATH, headers or {}, body)
        return caller


@pytest.fixture(scope="module")
def version(tmp_path_factory) -> LoadedModel:
    built = case.build(tmp_path_factory.mktemp("version"), case.contract(serving=Serving(deadline_ms=2000)))
    return load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)


@pytest.fixture
def run(tmp_path: Path, version: LoadedModel):
    def go(work: Callable[[Bench], Awaitable[None]], most: int = 64 * 1024 * 1024) -> None:
        async def inside() -> None:
            with Writer(Workspace(tmp_path).wal, sync=Sync.NEVER) as writer:
                runtime = Runtime(Workspace(tmp_path), writer, Metrics(None), verifier=lambda: None)
                runtime.serve_only(version)
                async with asyncio.timeout(10):
                    await work(Bench(runtime, most))

        loops.run(inside())

    return go


@pytest.mark.parametrize(("body", "thread"), [(SMALL, "MainThread"), (LARGE, "reader")])
def test_a_large_body_is_read_beside_the_loop_and_a_small_one_on_it(run, body, thread):
    async def work(bench: Bench) -> None:
        caller = bench.ask(body)
        await caller.done.wait()
        assert caller.heard[0][0] == 200
        assert bench.wire.threads == [thread]

    run(work)


def test_what_is_wrong_with_a_body_of_middling_size_is_looked_for_beside_the_loop(run):
    async def work(bench: Bench) -> None:
        caller = bench.ask(json.dumps({"rows": [ROW] * 500 + [{"f0": 1}]}).encode())
        assert not caller.heard
        await caller.done.wait()
        assert (caller.heard[0][0], caller.heard[0][1]["row"]) == (422, 500)

    run(work)


def test_nobody_waits_for_a_large_body_of_somebody_else(run):
    async def work(bench: Bench) -> None:
        bench.wire.hold.clear()
        large = bench.ask(LARGE)
        await asyncio.sleep(0.05)
        bench.wire.hold.set()
        small = bench.ask(SMALL)
        await small.done.wait()
        await large.done.wait()
        assert (small.heard[0][0], large.heard[0][0]) == (200, 200)

    run(work)


def test_large_bodies_wait_in_bounded_number_and_are_read_for_those_who_are_there(run):
    async def work(bench: Bench) -> None:
        bench.wire.hold.clear()
        asked = [bench.ask(LARGE) for _ in range(5)]
        assert [caller.heard[0][0] for caller in asked if caller.heard] == [429, 429]
        assert b"retry-after: 1" in asked[-1].heard[0][2]
        asked[1].gone = True
        bench.wire.hold.set()
        await asked[0].done.wait()
        await asked[2].done.wait()
        assert len(bench.wire.threads) == 2, "nobody heard what the one who had gone asked"
        again = bench.ask(LARGE)
        await again.done.wait()
        assert again.heard[0][0] == 200, "there is room again"

    run(work, most=3 * len(LARGE) + 10)


@pytest.mark.parametrize("body", [SMALL, LARGE])
def test_a_deadline_counts_from_the_moment_a_request_was_ready(run, body):
    async def work(bench: Bench) -> None:
        caller = bench.ask(body, ago=2.5)
        await caller.done.wait()
        assert caller.heard[0][0] == 504

    run(work)


def test_a_defect_in_reading_is_an_error_for_its_caller(run):
    async def work(bench: Bench) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        bench.wire.parse = lambda *_: 1 / 0  # type: ignore[method-assign]
        caller = bench.ask(LARGE)
        await caller.done.wait()
        assert (caller.heard[0][0], caller.heard[0][1]["code"]) == (500, "INTERNAL")
        assert bench.service._reading == 0

    run(work)


@pytest.mark.parametrize(
    ("headers", "who"),
    [
        ({b"authorization": b"Bearer a", b"x-api-key": b"b"}, b"Bearer a"),
        ({b"x-api-key": b"b"}, b"b"),
        ({}, b"127.0.0.1"),
    ],
)
def test_a_request_counts_for_whoever_is_named_else_for_its_address(run, headers, who):
    async def work(bench: Bench) -> None:
        seen: list[PredictRequest] = []
        bench.runtime.submit = seen.append  # type: ignore[method-assign, assignment]
        bench.ask(SMALL, headers=headers)
        assert [request.caller for request in seen] == [who]

    run(work)


def test_nothing_is_read_for_whom_there_is_no_room(run, version):
    async def work(bench: Bench) -> None:
        def full(version: LoadedModel, caller: bytes, due: float) -> None:
            raise Overloaded("planted", retry_after=3)

        bench.runtime.require_room = full  # type: ignore[method-assign]
        for body in (SMALL, LARGE):
            caller = bench.ask(body)
            assert caller.heard[0][0] == 429
            assert b"retry-after: 3" in caller.heard[0][2]
        assert bench.wire.threads == []

    run(work)


def test_the_thread_that_reads_does_not_outlive_a_test_that_fails(run):
    async def work(bench: Bench) -> None:
        await bench.ask(LARGE).done.wait()
        raise LookupError("planted")

    with pytest.raises(LookupError):
        run(work)
    until = time.monotonic() + 10
    while any(thread.name.startswith("reader") for thread in threading.enumerate()):
        assert time.monotonic() < until
        gc.collect()
        time.sleep(0.01)
