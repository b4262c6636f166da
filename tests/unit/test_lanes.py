"""More asked of a dear model than it can answer: who is let in is answered in time, who is not hears it at once."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

import loops
from batcher import Bench, Caller, Fake, loader, runner
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.errors import Rejected, TimedOut
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.batching import LARGE_ROWS
from modelmark.serving.cost import Cost
from modelmark.serving.flavours import Runs
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import LoadedModel

ROW = 0.02


@pytest.fixture
def load(tmp_path: Path):
    return loader(tmp_path)


@pytest.fixture
def run(tmp_path: Path):
    return runner(tmp_path)


def dear(seconds: float = ROW, **changes) -> Fake:
    return Fake(Runs.THREAD, lambda numbers: time.sleep(seconds * len(numbers)), **changes)


def learnt(version: LoadedModel, seconds: float = ROW) -> LoadedModel:
    """As after some traffic."""
    for rows in (1, 2, 4, 8, 16):
        version.execution.wall.note(rows, seconds * rows)
    return version


def told(callers: list[Caller]) -> Counter:
    return Counter(caller.outcome for caller in callers)


def test_large_requests_are_not_computed_when_nobody_can_wait_so_long(load, run):
    """40 requests of 300 rows that would each take 6 s, where half a second is allowed."""
    fake = dear()

    async def work(bench: Bench) -> None:
        version = learnt(load(fake, deadline_ms=500))
        asked = [bench.ask(version, rows=LARGE_ROWS + 44, seconds=0.5) for _ in range(40)]
        assert sum(1 for c in asked if c.heard) == 39, "they hear it at once, but for the one that is tried"
        await bench.heard()
        assert told(asked) == {TimedOut: 40}

    run(work)
    assert sum(fake.sizes) < 0.2 * 40 * 300


def test_a_large_request_is_no_longer_computed_once_its_caller_has_gone(load, run):
    fake = dear()

    async def work(bench: Bench) -> None:
        version = learnt(load(fake, deadline_ms=5000))
        caller = bench.ask(version, rows=LARGE_ROWS + 44, seconds=10)
        await asyncio.sleep(0.1)
        caller.gone = True
        bench.callers.remove(caller)
        async with asyncio.timeout(5):
            while bench.batcher.outcomes.requests:
                await asyncio.sleep(0.01)

    run(work)
    assert sum(fake.sizes) < 150


def test_large_requests_hold_no_small_one_up_that_fits_the_loop(load, run):
    """A row costs nothing worth speaking of; many together wait for something."""
    fake = Fake(Runs.BY_COST, lambda numbers: time.sleep(0.3 if len(numbers) > LARGE_ROWS else 0))

    async def work(bench: Bench) -> None:
        version = load(fake, deadline_ms=2000)
        version.execution.run(np.zeros((1, 3)), [])
        for _ in range(3):
            bench.ask(version, rows=LARGE_ROWS + 1)
            await asyncio.sleep(0.02)
        bench.batcher.require_room(version, b"", perf_counter() + 0.01)
        started = perf_counter()
        small = bench.ask(version, seconds=0.2)
        await small.done.wait()
        assert small.outcome is ServedBy.MODEL
        assert small.at - started < 0.2

    run(work)


def test_slices_of_a_large_request_are_its_answer_in_order(load, run):
    class Mirror(Fake):
        def run(self, numbers, texts):
            super().run(numbers, texts)
            return np.column_stack([1 - numbers[:, 0] / 1000, numbers[:, 0] / 1000])

    fake = Mirror(Runs.THREAD, lambda numbers: time.sleep(0.0005 * len(numbers)))

    async def work(bench: Bench) -> None:
        version = learnt(load(fake, deadline_ms=100), 0.0005)
        caller = Caller()
        bench.callers.append(caller)
        rows = [{f"f{i}": number / 10 for i in range(3)} for number in range(600)]
        bench.submit(version, caller, rows, seconds=5.0)
        await bench.heard()
        (answer,) = caller.heard
        found = np.frombuffer(answer.packed).reshape(-1, 2)
        assert found[:, 1].tolist() == [number / 10 / 1000 for number in range(600)]

    run(work)
    assert len(fake.sizes) > 3


@pytest.mark.parametrize("rows", [1, LARGE_ROWS + 1])
@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_a_row_that_the_contract_refuses_is_refused_however_late_it_is(load, run, rows, runs):
    constant = (Fallback(kind=FallbackKind.CONSTANT, value=1),)

    async def work(bench: Bench) -> None:
        version = load(Fake(runs), fallback=constant)
        wrong, right = bench.ask(version, 1000, rows=rows, seconds=-1), bench.ask(version, rows=rows, seconds=-1)
        await bench.heard()
        assert (wrong.outcome, right.outcome) == (Rejected, ServedBy.CONSTANT)

    run(work)


def test_whoever_waits_behind_a_run_is_refused_for_wrong_rows_at_once(load, run):
    async def work(bench: Bench) -> None:
        version = load(dear(0.5))
        bench.ask(version)
        await asyncio.sleep(0.05)
        wrong = bench.ask(version, 1000)
        await asyncio.sleep(0.05)
        assert wrong.outcome is Rejected

    run(work)


def test_counters_are_written_by_the_loop_alone(load, run, monkeypatch):
    writers = set()
    add = Metrics.add

    def watched(self, key, amount=1.0):
        writers.add(threading.current_thread().name)
        add(self, key, amount)

    monkeypatch.setattr(Metrics, "add", watched)

    async def work(bench: Bench) -> None:
        bench.observers.register(lambda request, answer: 1 / 0)
        version = load(Fake(Runs.BY_COST))
        bench.ask(version, rows=LARGE_ROWS + 1)
        bench.ask(load(Fake(Runs.THREAD), number=2))
        async with asyncio.timeout(5):
            while bench.metrics.counters.get("modelmark_observer_failures_total", 0) < 2:
                await asyncio.sleep(0.01)

    run(work)
    assert writers == {"MainThread"}


@pytest.mark.parametrize("where", ["codec", "lane"])
def test_a_defect_where_a_large_request_is_let_in_is_an_error_for_its_caller(load, run, where, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("planted")

    async def work(bench: Bench) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        version = load(Fake(Runs.THREAD))
        if where == "codec":
            version.codec.check = broken
        else:
            monkeypatch.setattr("modelmark.serving.lanes.Lane.enter", broken)
        caller = bench.ask(version, rows=LARGE_ROWS + 1)
        await bench.heard()
        assert caller.heard[0].code == "INTERNAL"

    run(work)


def test_a_cost_that_was_learnt_wrong_is_learnt_anew(load, run):
    """It is believed that a row takes ten seconds; it takes none."""

    async def work(bench: Bench) -> None:
        version = learnt(load(Fake(Runs.THREAD), deadline_ms=500), 10.0)
        for _ in range(60):
            await bench.ask(version, seconds=0.5).done.wait()
        assert told(bench.callers) == {ServedBy.MODEL: 60}, "whoever finds nobody there is always let in"
        assert version.execution.wall.of(1) < 0.1

    run(work)


def test_runs_are_as_large_as_a_part_of_the_deadline_allows(load, run):
    fake = dear(0.005)

    async def work(bench: Bench) -> None:
        version = learnt(load(fake, deadline_ms=400), 0.005)
        for _ in range(60):
            bench.ask(version, seconds=5)

    run(work)
    assert 10 <= max(fake.sizes) <= 24, "20 rows take a quarter of 400 ms"


def test_no_thread_of_a_model_outlives_a_test_that_fails(load, run):
    async def work(bench: Bench) -> None:
        await bench.ask(load(dear(0.05))).done.wait()
        raise LookupError("planted")

    with pytest.raises(LookupError):
        run(work)
    until = time.monotonic() + 10
    while any(thread.name.startswith("model") for thread in threading.enumerate()):
        assert time.monotonic() < until, [thread.name for thread in threading.enumerate()]
        gc.collect()
        time.sleep(0.01)


def test_a_cost_has_a_fixed_part_and_one_for_each_row():
    cost = Cost()
    assert cost.of(5) == 0.0
    for _ in range(50):
        for rows in (1, 4, 16):
            cost.note(rows, 0.04 + 0.001 * rows)
    assert cost.of(8) == pytest.approx(0.048, rel=0.01)
    assert cost.of(1) == pytest.approx(0.041)
    assert cost.of(32) == pytest.approx(2 * 0.056), "beyond what was seen, every row as there"
    assert cost.fitting(0.0481, 1024) == 8
    assert cost.fitting(0.001, 1024) == 1
    assert cost.of_queue(40, 16) == pytest.approx(2 * 0.056 + 0.048, rel=0.01)


def test_more_rows_never_cost_less_than_fewer():
    cost = Cost()
    cost.note(1, 0.05)
    cost.note(64, 0.001)
    assert [cost.of(rows) for rows in (1, 2, 32, 64)] == [0.05] * 4


@pytest.mark.parametrize(("odd", "once"), [(9.0, 0.016), (0.001, 0.0082)])
def test_one_odd_run_counts_little_and_two_are_believed(odd: float, once: float):
    cost = Cost()
    for _ in range(20):
        cost.note(1, 0.01)
    cost.note(1, odd)
    assert cost.of(1) == pytest.approx(once)
    cost.note(1, 0.01)
    cost.note(1, odd)
    assert cost.of(1) != pytest.approx(odd, rel=0.1), "they were not one after the other"
    cost.note(1, odd)
    assert cost.of(1) == pytest.approx(odd)


def test_while_a_model_hangs_its_fallback_answers_at_once(load, run):
    hang = threading.Event()
    constant = (Fallback(kind=FallbackKind.CONSTANT, value=0),)

    async def work(bench: Bench) -> None:
        version = learnt(load(Fake(Runs.THREAD, lambda numbers: hang.wait(8)), fallback=constant, deadline_ms=100))
        bench.ask(version, seconds=0.1)
        await asyncio.sleep(0.4)
        later = [bench.ask(version, seconds=5) for _ in range(300)]
        await asyncio.sleep(0.1)
        hang.set()
        assert told(later) == {ServedBy.CONSTANT: 300}

    run(work)


def test_a_request_that_its_version_has_no_time_for_gets_the_fallback(load, run):
    """A row of ten seconds is believed; somebody else is there."""
    constant = (Fallback(kind=FallbackKind.CONSTANT, value=0),)

    async def work(bench: Bench) -> None:
        version = learnt(load(dear(0.2), fallback=constant, deadline_ms=500), 10.0)
        bench.ask(version, seconds=5)
        await asyncio.sleep(0.05)
        bench.batcher.require_room(version, b"", perf_counter() + 0.5)
        other = bench.ask(version, seconds=0.5)
        await asyncio.sleep(0.05)
        assert other.outcome is ServedBy.CONSTANT

    run(work)


def test_who_waits_when_a_worker_ends_hears_so(load, tmp_path):
    callers: list[Caller] = []

    async def work() -> None:
        bench = Bench(tmp_path / "own")
        version = load(dear(0.2))
        for _ in range(3):
            callers.append(bench.ask(version))
            await asyncio.sleep(0.01)

    loops.run(work())
    assert [len(caller.heard) for caller in callers] == [1, 1, 1]
