"""Requests through the batcher, without a transport: whatever a model does, everybody is answered, once and in time."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from batcher import Bench, Fake, loader, runner, spin
from modelmark.domain.contract import Fallback, FallbackKind
from modelmark.domain.errors import ModelmarkError, NotYet, OutputInvalid, Overloaded, Rejected, TimedOut
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.batching import FLUSH_REQUESTS, LARGE_ROWS
from modelmark.serving.execution import LOOP_SECONDS, THREADS, Execution
from modelmark.serving.flavours import Runs
from modelmark.serving.observers import MAX_WAITING


@pytest.fixture
def load(tmp_path: Path):
    return loader(tmp_path)


@pytest.fixture
def run(tmp_path: Path):
    return runner(tmp_path)


def test_a_slow_model_runs_in_a_thread_and_holds_nobody_else_up(load, run):
    slow, quick = Fake(act=lambda numbers: time.sleep(0.3)), Fake(Runs.LOOP)

    async def work(bench: Bench) -> None:
        versions = load(slow), load(quick, number=2)
        one = bench.ask(versions[0])
        await asyncio.sleep(0.02)
        started = perf_counter()
        other = bench.ask(versions[1])
        await other.done.wait()
        assert other.at - started < 0.15
        assert not one.heard

    records = run(work)
    assert slow.threads[0].startswith("model")
    assert quick.threads == ["MainThread"]
    assert [record.path for record in records] == ["model", "model"]


@pytest.mark.parametrize(("runs", "most"), [(Runs.THREAD, THREADS), (Runs.REMOTE, 8)])
def test_runs_that_wait_for_another_machine_overlap_and_those_that_compute_here_do_not(load, run, runs, most):
    """A real server on loopback answers each run after 50 ms; it counts how many it holds at a time."""
    inside, high, lock = [0], [0], threading.Lock()

    class Upstream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with lock:
                inside[0] += 1
                high[0] = max(high[0], inside[0])
            time.sleep(0.05)
            with lock:
                inside[0] -= 1
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def asked(numbers: np.ndarray) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5) as answer:
            assert answer.status == 200

    async def work(bench: Bench) -> None:
        version = load(Fake(runs, asked))
        high[0] = 0  # loading tried the model once
        callers = []
        for _ in range(8):
            callers.append(bench.ask(version, seconds=60))  # a busy machine refuses none
            await asyncio.sleep(0.001)  # a turn of its own, so that it is a run of its own
        for caller in callers:
            await caller.done.wait()

    try:
        records = run(work)
    finally:
        server.shutdown()
        server.server_close()
    assert len(records) == 8
    assert high[0] == most if runs is Runs.THREAD else THREADS < high[0] <= most


def test_what_waits_for_a_slow_model_runs_together(load, run):
    slow = Fake(act=lambda numbers: time.sleep(0.1))

    async def work(bench: Bench) -> None:
        version = load(slow)
        for _ in range(40):
            bench.ask(version, seconds=60)  # a busy machine refuses none
            await asyncio.sleep(0)  # a turn of its own

    run(work)
    assert sum(slow.sizes) == 40
    assert len(slow.sizes) < 8


def test_a_model_that_hangs_keeps_nobody_beyond_the_deadline(load, run):
    hang = threading.Event()
    stuck = Fake(act=lambda numbers: hang.wait(8))
    constant = (Fallback(kind=FallbackKind.CONSTANT, value=0),)

    async def work(bench: Bench) -> None:
        version = load(stuck, fallback=constant)
        for _ in range(6):  # two runs go on, the others wait behind them
            bench.ask(version, seconds=0.2)
            await asyncio.sleep(0.01)
        for caller in bench.callers:
            await caller.done.wait()
        late = bench.ask(version, seconds=0.2)
        await late.done.wait()
        hang.set()

    started = perf_counter()
    records = run(work)
    assert perf_counter() - started < 4
    assert [record.path for record in records] == ["constant"] * 7, "each once, though its run ended later"


def test_without_a_fallback_the_deadline_is_a_refusal(load, run):
    async def work(bench: Bench) -> None:
        caller = bench.ask(load(Fake(act=lambda numbers: time.sleep(0.4))), seconds=0.1)
        await caller.done.wait()
        assert caller.outcome is TimedOut

    assert run(work) == []


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_a_row_that_breaks_the_model_costs_nobody_else_the_answer(load, run, runs):
    def fail(numbers: np.ndarray) -> None:
        if (numbers > 50).any():
            raise RuntimeError("planted")

    async def work(bench: Bench) -> None:
        version = load(Fake(runs, fail))
        for value in (1, 99, 2):
            bench.ask(version, value)
        await bench.heard()
        found = [caller.outcome for caller in bench.callers]
        assert found == [ServedBy.MODEL, OutputInvalid, ServedBy.MODEL]

    assert len(run(work)) == 2


def test_deadlines_hold_while_each_is_tried_alone(load, run):
    def fail(numbers: np.ndarray) -> None:
        time.sleep(0.1)
        if len(numbers) > 1:
            raise RuntimeError("planted")

    async def work(bench: Bench) -> None:
        version = load(Fake(act=fail), fallback=(Fallback(kind=FallbackKind.CONSTANT, value=0),))
        for _ in range(20):
            bench.ask(version, seconds=0.5)
        started = perf_counter()
        await bench.heard()
        assert max(caller.at for caller in bench.callers) - started < 0.8
        outcomes = [caller.outcome for caller in bench.callers]
        assert outcomes[0] is ServedBy.MODEL
        assert outcomes[-1] is ServedBy.CONSTANT

    run(work)


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_a_refused_row_is_refused_alone(load, run, runs):
    async def work(bench: Bench) -> None:
        version = load(Fake(runs))
        for value in (1, 1000, 2):
            bench.ask(version, value)
        await bench.heard()
        assert [caller.outcome for caller in bench.callers] == [ServedBy.MODEL, Rejected, ServedBy.MODEL]

    run(work)


def test_a_refused_row_does_not_wait_for_the_run_of_others(load, run):
    async def work(bench: Bench) -> None:
        version = load(Fake(act=lambda numbers: time.sleep(0.5)))
        started = perf_counter()
        bench.ask(version, 1)
        refused = bench.ask(version, 1000)
        await refused.done.wait()
        assert refused.outcome is Rejected
        assert refused.at - started < 0.3

    run(work)


def test_a_run_that_fails_after_the_deadline_answers_nobody_twice(load, run):
    def fail(numbers: np.ndarray) -> None:
        time.sleep(0.3)
        raise RuntimeError("planted")

    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=1))

    async def work(bench: Bench) -> None:
        previous = load(Fake(), number=1)
        bench.writer.declare(previous.schema)
        bench.ask(load(Fake(act=fail), number=2, fallback=chain), previous=previous, seconds=0.1)
        await bench.heard()
        await asyncio.sleep(0.5)

    assert [record.path for record in run(work)] == ["constant"]


def test_a_slow_previous_version_answers_off_the_loop(load, run):
    def fail(numbers: np.ndarray) -> None:
        raise RuntimeError("planted")

    before = Fake(act=lambda numbers: time.sleep(0.2))
    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=1))

    async def work(bench: Bench) -> None:
        previous = load(before, number=1)
        bench.writer.declare(previous.schema)
        champion = load(Fake(Runs.LOOP, fail), number=2, fallback=chain)
        one = bench.ask(champion, previous=previous)
        hasty = bench.ask(champion, previous=previous, seconds=0.05)
        started = perf_counter()
        await asyncio.sleep(0.01)
        assert perf_counter() - started < 0.1, "the loop went on"
        await bench.heard()
        assert (one.outcome, hasty.outcome) == (ServedBy.PREVIOUS_VERSION, ServedBy.CONSTANT)

    records = run(work)
    assert sorted(record.path for record in records) == ["constant", "previous_version"]
    assert all(name.startswith("model") for name in before.threads)


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
@pytest.mark.parametrize("where", ["guard", "decide", "codec", "journal", "answer"])
def test_a_defect_of_ours_is_an_error_for_the_caller_and_never_silence(load, run, runs, where):
    def broken(*_, **__):
        raise ZeroDivisionError("planted")

    async def work(bench: Bench) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        version = load(Fake(runs))
        caller = None
        if where == "journal":
            bench.writer.append_many = broken
        elif where != "answer":
            target = {"guard": version.guard, "decide": version, "codec": version.codec}[where]
            name = {"guard": "check", "decide": "decide", "codec": "check"}[where]
            setattr(target, name, broken)
        caller = bench.ask(version)
        if where == "answer":
            caller.answer = broken
        await bench.heard()
        assert caller.outcome is ModelmarkError

    run(work)


def test_no_answer_leaves_without_its_record(load, run):
    async def work(bench: Bench) -> None:
        def full(records):
            raise NotYet("the disk is full")

        bench.writer.append_many = full
        caller = bench.ask(load(Fake(Runs.THREAD)))
        await bench.heard()
        assert caller.outcome is NotYet

    assert run(work) == []


def test_observers_are_told_of_every_answer_after_it_left_and_of_no_refusal(load, run):
    seen: list[tuple[float, object, object]] = []

    async def work(bench: Bench) -> None:
        bench.observers.register(lambda request, answer: seen.append((perf_counter(), request, answer)))
        version = load(Fake(Runs.LOOP))
        for value in (1, 1000, 2):
            bench.ask(version, value)
        await bench.heard()
        async with asyncio.timeout(5):
            while len(seen) < 2:
                await asyncio.sleep(0.01)

    records = run(work)
    assert [answer.id for _, _, answer in seen] == [record.id for record in records]
    assert all(at >= request.responder.at for at, request, _ in seen)


def test_an_observer_that_hangs_or_fails_costs_no_answer_and_is_counted(load, run):
    hang = threading.Event()

    def observe(request, answer) -> None:
        hang.wait(10)
        raise RuntimeError("planted")

    async def work(bench: Bench) -> None:
        bench.observers.register(observe)
        version = load(Fake(Runs.LOOP))
        started = perf_counter()
        for _ in range(MAX_WAITING + 50):
            await bench.ask(version).done.wait()
        assert perf_counter() - started < 5
        await asyncio.sleep(0.05)
        counted = bench.metrics.counters
        assert counted["modelmark_observers_dropped_total"] == 49, "one is being told, 256 wait"
        hang.set()
        async with asyncio.timeout(5):
            while counted.get("modelmark_observer_failures_total", 0) < MAX_WAITING:
                await asyncio.sleep(0.01)
        assert {caller.outcome for caller in bench.callers} == {ServedBy.MODEL}

    run(work)


def test_a_flush_takes_so_many_requests_and_no_more(load, run):
    quick = Fake(Runs.LOOP)

    async def work(bench: Bench) -> None:
        version = load(quick)
        for _ in range(2 * FLUSH_REQUESTS + 5):
            bench.ask(version)

    run(work)
    assert quick.sizes == [FLUSH_REQUESTS, FLUSH_REQUESTS, 5]


def test_large_requests_leave_the_loop_whatever_they_cost(load, run):
    quick = Fake(Runs.BY_COST)

    async def work(bench: Bench) -> None:
        version = load(quick)
        bench.ask(version, rows=LARGE_ROWS)
        await bench.heard()
        bench.ask(version, rows=LARGE_ROWS + 1)

    run(work)
    assert quick.threads[0] == "MainThread"
    assert quick.threads[1].startswith("model")


def test_a_model_that_never_leaves_the_loop_does_not_for_many_rows(load, run):
    fake = Fake(Runs.LOOP)

    async def work(bench: Bench) -> None:
        bench.ask(load(fake), rows=LARGE_ROWS + 1)

    run(work)
    assert fake.threads == ["MainThread"]


def test_a_model_leaves_the_loop_when_it_grows_slow_and_comes_back_when_it_is_quick_again():
    pause = [0.0]
    version = Execution(Fake(Runs.BY_COST, lambda numbers: spin(pause[0])))
    one = np.zeros((1, 3))
    version.run(one, [])
    assert version.fits_loop(1)
    pause[0] = 4 * LOOP_SECONDS
    for _ in range(30):
        version.run(one, [])
    assert not version.fits_loop(1)
    assert not version.fits_loop(64), "more rows never cost less than what is known of fewer"
    pause[0] = 0.0
    for _ in range(30):
        version.run(one, [])
    assert version.fits_loop(1)


def test_one_pause_of_the_machine_says_nothing_about_a_model():
    pause = [0.0001]
    version = Execution(Fake(Runs.BY_COST, lambda numbers: spin(pause[0])))
    for _ in range(5):
        version.run(np.zeros((1, 3)), [])
    pause[0] = 0.2
    version.run(np.zeros((1, 3)), [])
    assert version.fits_loop(1)


@pytest.fixture
def slow_to_switch():
    """Whoever gives the interpreter up while another thread wants it waits this long, on a machine under load too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.05)
    yield
    sys.setswitchinterval(before)


def test_a_busy_interpreter_makes_no_model_dear(slow_to_switch):
    version = Execution(Fake(Runs.BY_COST, lambda numbers: time.sleep(0)))
    stop = threading.Event()
    busy = threading.Thread(target=lambda: all(True for _ in iter(stop.is_set, True)))
    busy.start()
    started = perf_counter()
    try:
        for _ in range(20):
            version.run(np.zeros((1, 3)), [])
    finally:
        took = perf_counter() - started
        stop.set()
        busy.join()
    assert took > 20 * LOOP_SECONDS, "nothing had to wait: the test proves nothing"
    assert version.fits_loop(1)


def test_many_rows_are_known_before_any_traffic():
    version = Execution(Fake(Runs.BY_COST, lambda numbers: spin(0.0002)))
    version.run(np.zeros((1, 3)), [])
    assert not version.fits_loop(64), "as far as one row tells"
    version.probe(np.zeros((1, 3)), [])
    assert version.fits_loop(64)


def test_a_model_that_takes_one_row_at_a_time_loads_all_the_same():
    def one(numbers: np.ndarray) -> None:
        if len(numbers) > 1:
            raise RuntimeError("the graph's batch is fixed")

    version = Execution(Fake(Runs.BY_COST, one))
    version.probe(np.zeros((1, 3)), [])
    assert version.fits_loop(1)


def test_a_dear_model_is_not_tried_with_many_rows():
    fake = Fake(Runs.BY_COST, lambda numbers: spin(0.02 * len(numbers)))
    Execution(fake).probe(np.zeros((1, 3)), [])
    assert max(fake.sizes) <= 4


@pytest.mark.parametrize(("runs", "fits"), [(Runs.LOOP, True), (Runs.THREAD, False)])
def test_a_flavour_that_knows_where_it_runs_is_not_measured(runs, fits):
    version = Execution(Fake(runs, lambda numbers: spin(2 * LOOP_SECONDS if fits else 0)))
    version.run(np.zeros((1, 3)), [])
    assert version.fits_loop(1) is fits


class Nonsense(Fake):
    """Its answers are none."""

    def __init__(self, scores: Callable[[int], np.ndarray]) -> None:
        super().__init__(Runs.LOOP)
        self.scores = scores

    def run(self, numbers, texts):
        super().run(numbers, texts)
        return self.scores(len(numbers))


@pytest.mark.parametrize(
    "scores",
    [lambda n: np.full((n, 2), np.nan), lambda n: np.full((n, 2), 7.0), lambda n: np.full((n, 3), 1 / 3)],
    ids=["not a number", "no probability", "another shape"],
)
def test_the_previous_version_s_nonsense_never_leaves_either(load, run, scores):
    def fail(numbers: np.ndarray) -> None:
        raise RuntimeError("planted")

    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=1))
    before = Nonsense(scores)

    async def work(bench: Bench) -> None:
        caller = bench.ask(load(Fake(Runs.LOOP, fail), number=2, fallback=chain), previous=load(before, number=1))
        await bench.heard()
        assert caller.outcome == ServedBy.CONSTANT

    assert [record.path for record in run(work)] == ["constant"]
    assert before.sizes == [1], "it was asked"


@pytest.mark.parametrize("runs", [Runs.LOOP, Runs.THREAD])
def test_what_comes_too_late_is_not_computed(load, run, runs):
    model, before = Fake(runs), Fake(Runs.LOOP)
    chain = (Fallback(kind=FallbackKind.PREVIOUS_VERSION), Fallback(kind=FallbackKind.CONSTANT, value=1))

    async def work(bench: Bench) -> None:
        late = bench.ask(load(model, number=2, fallback=chain), seconds=-0.01, previous=load(before, number=1))
        await bench.heard()
        assert late.outcome == ServedBy.CONSTANT

    run(work)
    assert (model.sizes, before.sizes) == ([], []), "nor does the version before compute"


def test_an_answer_that_was_late_when_the_run_ended_does_not_leave(load, run):
    """On the loop nothing watches the deadline during the run: it is looked at afterwards."""
    model = Fake(Runs.LOOP, lambda numbers: time.sleep(0.06))

    async def work(bench: Bench) -> None:
        version = load(model)
        hasty, patient = bench.ask(version, seconds=0.03), bench.ask(version, seconds=5)
        await bench.heard()
        assert (hasty.outcome, patient.outcome) == (TimedOut, ServedBy.MODEL)

    assert len(run(work)) == 1
    assert model.sizes == [2], "both were in one run"


@pytest.mark.parametrize("bound", ["bytes", "requests"])
@pytest.mark.parametrize("end", ["answered", "refused", "gone", "late", "failed"])
def test_the_queue_takes_just_so_much_and_as_much_again_whatever_became_of_it(load, run, bound, end):
    """A request of the bench has 100 bytes."""

    def act(numbers: np.ndarray) -> None:
        if end == "failed":
            raise RuntimeError("planted")

    async def work(bench: Bench) -> None:
        version = load(Fake(Runs.LOOP, act))
        if bound == "bytes":
            bench.batcher.max_bytes = 399  # three fit, a fourth is one byte too much
        else:
            bench.batcher._max_requests = 3
        value, seconds = (1e9 if end == "refused" else 0.5), (-1.0 if end == "late" else 5.0)
        for _ in range(3):
            asked = [bench.ask(version, value, seconds=seconds) for _ in range(3)]
            with pytest.raises(Overloaded):
                bench.ask(version, value, seconds=seconds)
            bench.callers.pop()  # it was told at once
            if end == "gone":
                for caller in asked:
                    caller.gone = True
                    bench.callers.remove(caller)
            await asyncio.sleep(0.02)
            assert (bench.batcher.outcomes.requests, bench.batcher.outcomes.bytes) == (0, 0)

    run(work)


@pytest.mark.parametrize(
    ("waiting", "rate", "seconds"), [(10, 1000.0, 1), (2500, 1000.0, 3), (10_000, 0.0, 30), (29_000, 1000.0, 30)]
)
def test_whoever_is_refused_is_told_when_there_will_be_room(load, run, waiting, rate, seconds):
    async def work(bench: Bench) -> None:
        version = load(Fake(Runs.LOOP))
        outcomes = bench.batcher.outcomes
        bench.batcher._max_requests, outcomes.requests, outcomes.rate = waiting, waiting, rate
        with pytest.raises(Overloaded) as caught:
            bench.ask(version)
        bench.callers.clear()
        outcomes.requests = 0
        assert caught.value.retry_after == seconds

    run(work)
