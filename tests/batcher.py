"""A batcher without a transport, models that do as they are told and callers that remember, for tests of both."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import loops
import serving_case as case
from modelmark.domain.contract import Fallback, Serving
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted
from modelmark.journal.wal.recovery import recover_all
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal import keys
from modelmark.serving.answers import PredictRequest
from modelmark.serving.batching import Batcher
from modelmark.serving.caching.cache import Cache
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.execution import Execution
from modelmark.serving.flavours import Runs
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LiveArm, LiveRoute, LoadedModel, load_marked
from modelmark.serving.observers import Observers
from modelmark.serving.refusals import Refusals


def spin(seconds: float) -> None:
    """Keep the processor busy, as a dear model does."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


class Fake:
    """A flavour that does as it is told: `act(numbers)` and then even odds."""

    def __init__(self, runs: Runs = Runs.THREAD, act: Callable[[np.ndarray], object] = lambda numbers: None) -> None:
        self.runs, self.act = runs, act
        self.threads: list[str] = []
        self.sizes: list[int] = []
        self.busy = 0.0  # seconds

    def run(self, numbers, texts):
        self.threads.append(threading.current_thread().name)
        self.sizes.append(len(numbers))
        started = perf_counter()
        try:
            self.act(numbers)
        finally:
            self.busy += perf_counter() - started
        return np.full((len(numbers), 2), 0.5)


class Caller:
    """Implements `answers.Responder` and remembers what it heard, and when."""

    request_id, gone = "r", False

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.asked = self.at = 0.0
        self.done = asyncio.Event()

    def answer(self, answer) -> None:
        self._hear(answer)

    def refuse(self, error) -> None:
        self._hear(error)

    def _hear(self, what: object) -> None:
        self.heard.append(what)
        self.at = perf_counter()
        self.done.set()

    @property
    def outcome(self):
        (found,) = self.heard
        return found.served_by if hasattr(found, "served_by") else type(found)


class Bench:
    """A batcher with a journal of its own."""

    def __init__(self, root: Path, *, cache_bytes: int = 0, shared: SharedCache | None = None) -> None:
        self.writer = Writer(Workspace(root).wal, sync=Sync.NEVER)
        self.metrics = Metrics(None)
        self.observers = Observers(self.metrics)
        loop = asyncio.get_running_loop()
        self.cache = Cache(cache_bytes, self.metrics, shared) if cache_bytes else None
        self.batcher = Batcher(loop, self.writer, self.metrics, Refusals(), self.observers, cache=self.cache)
        self.callers: list[Caller] = []

    def ask(
        self, version: LoadedModel, value: float = 0.5, *, rows: int = 1, seconds=5.0, previous=None, who: bytes = b""
    ) -> Caller:
        caller = Caller()
        self.callers.append(caller)
        self.submit(version, caller, [{f"f{i}": value for i in range(3)}] * rows, seconds, previous, who)
        return caller

    def submit(self, version, caller, given, seconds, previous=None, who: bytes = b"") -> None:
        self.writer.declare(version.schema)
        route = LiveRoute("churn", (LiveArm("champion", 1.0, version),), previous)
        now = caller.asked = perf_counter()

        def read(codec):
            return codec.from_mappings(given)

        request = PredictRequest(caller, route, 0, read(version.codec), "", now, now + seconds, 100, read, who)
        self.batcher.submit(request)

    async def heard(self) -> None:
        async with asyncio.timeout(10):
            for caller in self.callers:
                await caller.done.wait()
        assert [len(caller.heard) for caller in self.callers] == [1] * len(self.callers)
        assert self.batcher.outcomes.requests == 0

    def records(self, root: Path) -> list[Predicted]:
        self.writer.close()
        recover_all(Workspace(root).wal)
        files = sealed_segments(Workspace(root).wal)
        return [r for f in files for r in read_segment(f).records if isinstance(r, Predicted)]


@cache
def _graph(number: int) -> bytes:
    return case.gradient_boosting(3, seed=number)


def loader(root: Path):
    """Makes a loaded version that runs a fake flavour."""

    def make(
        flavour: Fake, *, number: int = 1, fallback: tuple[Fallback, ...] = (), deadline_ms: int = 5000
    ) -> LoadedModel:
        serving = Serving(deadline_ms=deadline_ms)
        agreed = case.contract(fallback=fallback, serving=serving)
        built = case.build(root, agreed, _graph(number), number=number)
        version = load_marked(built.folder, keys.verifier(built.workspace.keys), built.id)
        version.execution = Execution(flavour)
        return version

    return make


def runner(root: Path):
    """Runs a test's coroutine with a bench; gives back what the journal then holds."""

    def go(work: Callable[[Bench], object], **how: Any) -> list[Predicted]:
        async def inside() -> list[Predicted]:
            bench = Bench(root / "own", **how)
            await work(bench)
            await bench.heard()
            return bench.records(root / "own")

        return loops.run(inside())

    return go
