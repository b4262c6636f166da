"""Beyond the agreed rate: capacity, overload and memory, against real processes with planted faults."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import cases
import models
from modelmark.domain.catalogue.gate_settings import LoadGate
from modelmark.domain.contract import Serving
from modelmark.domain.evidence import Verdict
from modelmark.domain.ports import Staged
from modelmark.gates.common.traffic import Heard
from modelmark.gates.load import busy, checks
from modelmark.gates.load.gate import Load
from modelmark.gates.load.memory import growth, growth_of, resident
from modelmark.gates.load.stress import Capacity, Target, find_capacity, judge_overload, well_formed
from modelmark.gates.runner import run_gate

SERVING = Serving(rate_per_s=10, p99_ms=1000, deadline_ms=4000)
BUSY = Path(__file__).parents[1] / "busy_server.py"


@contextmanager
def process(mode, service_ms):
    """(address, process id) of a real server."""
    running = subprocess.Popen([sys.executable, str(BUSY), mode, str(service_ms)], stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(running.stdout.readline())}", running.pid
    finally:
        running.terminate()
        running.wait()
        running.stdout.close()


class ProcessStage:
    """A Staging whose server is another process."""

    def __init__(self, mode, service_ms):
        self.mode, self.service_ms = mode, service_ms

    @contextmanager
    def open(self, version, folder):
        with process(self.mode, self.service_ms) as (address, pid):
            yield Staged(address=address, processes=lambda: (pid,))


def target(address, deadline=4.0):
    return Target(url=f"{address}/models/loans/predict", rows=[{"age": 1}], promise=0.5, deadline=deadline, max_rows=10)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    contract = models.contract(serving=SERVING)
    return cases.case(
        tmp_path_factory.mktemp("load"), contract, train=models.frame(300, 1), holdout=models.frame(100, 2)
    )


def run(case, mode, **changes):
    settings = LoadGate(**{"seconds": 1, "overload": (3.0,), "overload_seconds": 1.0} | changes)
    return run_gate(Load(settings), dataclasses.replace(case, staging=ProcessStage(mode, 10)))


def test_a_server_that_sheds_in_good_form_passes_with_its_capacity_shown(case):
    evidence = run(case, "good")
    assert evidence.verdict is not Verdict.FAIL, [c.sentence for c in evidence.checks]
    found = {check.name: check for check in evidence.checks}
    assert not found["capacity"].decides
    if found["capacity"].estimate is not None:  # None: this machine was too busy to send
        assert 10 <= found["capacity"].estimate <= 160, "10 ms a request, one at a time, and eight that may wait"
    assert found["memory growth"].verdict is Verdict.PASS
    assert "0 in another way" in found["refusals under overload"].sentence
    assert not found["goodput at 3x"].decides
    assert evidence.tables[-1].title.startswith("Overload, requests of ")


def test_a_server_that_answers_500_under_overload_is_found(case):
    evidence = run(case, "rude", overload=(5.0,))
    check = next(c for c in evidence.checks if c.name == "refusals under overload")
    assert check.verdict is Verdict.FAIL
    assert "500 too busy" in check.sentence


def test_a_leak_is_found_and_a_steady_server_is_not_accused():
    found = {}
    for mode in ("leak", "good"):
        with process(mode, 0) as (address, pid):
            found[mode] = checks.memory(growth(target(address), lambda pid=pid: (pid,)), LoadGate())
    assert found["leak"].verdict is Verdict.FAIL
    assert found["leak"].estimate == pytest.approx(20, rel=0.3)
    assert "per 100,000" in found["leak"].sentence
    assert found["good"].verdict is Verdict.PASS


def test_a_process_that_is_gone_or_replaced_is_not_measured():
    with process("good", 0) as (address, pid):
        seen = iter([(pid,), (pid, 1)])
        assert growth(target(address), lambda: next(seen)) is None
        assert growth(target(address), tuple) is None
    assert resident([pid]) is None


def test_a_steady_memory_with_noise_and_a_jump_is_rarely_surely_growing():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(2000):
        steps = rng.normal(0, 400_000, 10) + (np.arange(10) == rng.integers(10)) * 4_000_000
        wrong += growth_of([100 << 20, *((100 << 20) + np.cumsum(steps)).tolist()], [300] * 10).low > 1
    assert wrong / 2000 <= 0.025 + 3 * (0.025 * 0.975 / 2000) ** 0.5


def test_growth_covers_its_mean():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        steps = rng.normal(5 * 1024 * 300, 500_000, 10)
        found = growth_of([0, *np.cumsum(steps).tolist()], [300] * 10)
        inside += found.low <= 5 <= found.high
    assert inside / 2000 == pytest.approx(0.95, abs=3 * (0.05 * 0.95 / 2000) ** 0.5)


def refusal(status=429, body=None, retry_after="2"):
    text = json.dumps({"error": "busy", "code": "OVERLOADED"}).encode() if body is None else body
    return Heard(due=0, sent=0, done=0.01, failure=f"{status}", status=status, body=text, retry_after=retry_after)


@pytest.mark.parametrize(
    ("heard", "good"),
    [
        pytest.param(refusal(), True, id="as promised"),
        pytest.param(refusal(504, retry_after=""), True, id="too late"),
        pytest.param(refusal(retry_after=""), False, id="when to come back is missing"),
        pytest.param(refusal(retry_after="soon"), False, id="no number"),
        pytest.param(refusal(retry_after="3600"), False, id="an hour"),
        pytest.param(refusal(body=b"busy"), False, id="no JSON"),
        pytest.param(refusal(body=b"[]"), False, id="no object"),
        pytest.param(refusal(500), False, id="a crash"),
    ],
)
def test_the_form_of_a_refusal(heard, good):
    assert well_formed(heard) is good


def heard(n, failure="", status=200, late=0.0, took=0.01):
    return [
        Heard(due=i / 100, sent=i / 100 + late, done=i / 100 + late + took, failure=failure, status=status)
        for i in range(n)
    ]


def checks_of(answers, **settings):
    found = judge_overload(answers, 10.0, 0.5)
    base = Capacity(good=100.0, bad=120.0, rows=1, n=100)
    serving = Serving(rate_per_s=10, deadline_ms=500)
    return {c.name: c for c in checks.overloaded([found], base, serving, LoadGate(**settings))}


def test_a_busy_sender_decides_nothing_but_a_wrong_answer_counts():
    late = checks_of([*heard(200, late=0.4), *heard(50, "reset", status=0, late=0.4)], min_goodput=0.9)
    assert not any(check.decides for check in late.values())
    assert {check.verdict for name, check in late.items() if name != "refusals under overload"} == {Verdict.CANNOT_TELL}
    wrong = checks_of([*heard(200, late=0.4), *heard(1, "500 oh", status=500, late=0.4)])
    assert wrong["refusals under overload"].decides
    assert wrong["refusals under overload"].verdict is Verdict.FAIL


def test_lost_connections_count_where_the_sender_was_in_time():
    found = checks_of([*heard(200), *heard(50, "ClientOSError: reset", status=0)])
    assert found["refusals under overload"].measured == 50


def test_goodput_decides_only_where_a_least_share_is_agreed():
    collapsed = heard(20) + heard(200, "no answer within 2 s", status=0)
    assert not checks_of(collapsed)["goodput at 10x"].decides
    assert checks_of(collapsed, min_goodput=0.9)["goodput at 10x"].verdict is Verdict.FAIL
    assert checks_of(heard(200), min_goodput=0.9)["goodput at 10x"].verdict is Verdict.PASS


def test_answers_long_after_the_deadline_fail_when_it_is_sure():
    found = checks_of(heard(300, took=2.0), min_goodput=0.5)["p99 at 10x, ms"]
    assert found.decides
    assert found.verdict is Verdict.FAIL
    assert not checks_of(heard(300, took=2.0))["p99 at 10x, ms"].decides, "nothing is agreed about overload"
    assert checks_of(heard(300, took=0.3))["p99 at 10x, ms"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        pytest.param(0.05, Verdict.FAIL, id="a quiet machine"),
        pytest.param(0.6, Verdict.CANNOT_TELL, id="a crowded machine"),
    ],
)
def test_slow_answers_on_a_crowded_machine_are_no_evidence(others, verdict):
    slow = heard(300, took=3.0)
    found = {c.name: c for c in Load(LoadGate()).judge(slow, SERVING, 3.0, others).checks}
    assert found["p99, ms"].verdict is verdict
    beyond = {c.name: c for c in Load(LoadGate()).judge(heard(300, took=9.0), SERVING, 3.0, others).checks}
    assert beyond["errors"].verdict is verdict
    assert beyond["rate reached"].verdict is verdict
    crash = [*heard(300), *heard(1, "500 oh", status=500)]
    assert {c.name: c for c in Load(LoadGate()).judge(crash, SERVING, 3.0, others).checks}[
        "errors"
    ].verdict is Verdict.FAIL
    quick = {c.name: c for c in Load(LoadGate()).judge(heard(300), SERVING, 3.0, others).checks}
    assert quick["p99, ms"].verdict is Verdict.PASS


def test_what_other_programs_use_is_seen():
    before = busy.reading(())
    with process("good", 0) as (_, pid):
        assert busy.reading((pid,)).ours >= busy.reading(()).ours
    assert busy.reading((pid,)) is None, "it is gone"
    burnt = busy.Reading(before.total + 400, before.busy + 300, before.ours + 100)
    assert busy.others(before, burnt) == 0.5
    assert busy.others(before, None) == 0.0


def test_capacity_is_bracketed_by_what_a_slow_server_can_do():
    with process("good", 20) as (address, _):
        found = find_capacity(target(address), 10, lambda *_: None)
    assert found.good <= 80, "20 ms a request, one at a time, and eight that may wait"
    if found.bad is not None:
        assert found.good < found.bad
