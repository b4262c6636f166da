"""Asking gates: some of them, the quick ones, none twice about the same; and what a CI reads of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

import cases
import models
from modelmark.app.usecases.check_version import CheckResult
from modelmark.contract.catalogue import load, required_gates
from modelmark.domain.catalogue.gate_settings import Gates
from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.errors import Missing, Unmeasured
from modelmark.domain.evidence import Bound, Check, Evidence, Limit, Verdict, worst
from modelmark.domain.release import State
from modelmark.gates.case import Case, Champion
from modelmark.gates.gate import Measurement
from modelmark.gates.junit import junit
from modelmark.gates.parallelism import available, fitting
from modelmark.gates.report import render_report
from modelmark.gates.runner import build, run_gates
from modelmark.governance.releases import ReleaseStatus
from modelmark.seal.digests import digest_bytes

LIMIT = Limit(bound=Bound.AT_MOST, value=1)


def check(name: str, measured: float | None = 0.0, *, decides: bool = True, sentence: str = "It is so.") -> Check:
    return Check(name=name, measured=measured, limit=LIMIT, sentence=sentence, decides=decides)


@dataclass
class Counting:
    """A gate that counts how often it was asked."""

    asked: int = 0
    measured: float | None = 0.0
    name: str = "counting"
    alone: bool = False
    quick: bool = True
    settled: bool = True

    def measure(self, case: Case, progress: Callable[[int, int], None]) -> Measurement:
        self.asked += 1
        return Measurement(checks=(check("one", self.measured),))


@pytest.fixture
def case(tmp_path) -> Case:
    return cases.case(tmp_path)


def test_the_same_bytes_tables_and_champion_are_not_measured_twice(case: Case) -> None:
    gate = Counting()
    first = run_gates(case, gates=[gate])
    assert run_gates(case, gates=[gate], known=first) == first
    assert gate.asked == 1


def test_a_gate_that_looks_at_what_may_change_is_asked_each_time(case: Case) -> None:
    gate = Counting(settled=False)
    first = run_gates(case, gates=[gate])
    run_gates(case, gates=[gate], known=first)
    assert gate.asked == 2
    assert {name for name, row in GATES.items() if not getattr(load(row), "settled", True)} == {
        "tests", "replay", "supply_chain",
    }  # fmt: skip


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.PASS, Verdict.CANNOT_TELL])
def test_a_failure_stands_like_a_pass_and_only_what_could_not_be_measured_is_asked_again(
    case: Case, verdict: Verdict
) -> None:
    gate = Counting(measured={Verdict.FAIL: 2.0, Verdict.PASS: 0.0, Verdict.CANNOT_TELL: None}[verdict])
    first = run_gates(case, gates=[gate])
    assert first[0].verdict is verdict
    run_gates(case, gates=[gate], known=first)
    assert gate.asked == (2 if verdict is Verdict.CANNOT_TELL else 1)


def test_another_champion_table_or_version_is_measured_afresh(case: Case) -> None:
    gate = Counting()
    first = run_gates(case, gates=[gate])
    after = replace(case, champion=Champion(label="v1", predictor=case.predictor, id=digest_bytes(b"champion")))
    run_gates(after, gates=[gate], known=first)
    assert gate.asked == 2
    other = replace(case, version=replace(case.version, id=digest_bytes(b"other")))
    run_gates(other, gates=[gate], known=first)
    assert gate.asked == 3
    (case.base / "holdout.csv").write_bytes((case.base / "holdout.csv").read_bytes() + b"\n")
    changed = replace(case, clock=case.clock)
    assert run_gates(changed, gates=[gate], known=first)[0].verdict is Verdict.CANNOT_TELL
    assert gate.asked == 3, "a table that is not the registered one is no table to measure on"


def test_fast_asks_the_quick_gates_and_only_asks_those_named() -> None:
    contract = models.contract()
    quick = {gate.name for gate in build(contract, fast=True)}
    assert "data_contract" in quick
    assert "load" not in quick
    assert [gate.name for gate in build(contract, ["parity"])] == ["parity"]
    with pytest.raises(Missing) as caught:
        build(contract, ["no_such"])
    assert caught.value.code == "NO_GATE"
    silent = required_gates(replace(contract, gates=Gates(load=None)))
    assert "load" not in silent


def evidence(*checks: Check, gate: str = "holdout") -> Evidence:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=1)
    return Evidence(gate=gate, candidate=digest_bytes(b"candidate"), checks=checks, at=at, seconds=1.25)


def test_junit_counts_failures_errors_and_what_only_informs(case: Case) -> None:
    found = [
        evidence(
            check("fine"),
            check("bad", 2.0, sentence="<b>\x00 & it's \u0085bad</b>."),
            check("unknown", None),
            check("small group", None, decides=False),
        ),
        evidence(check("fine"), gate="load"),
    ]
    root = ET.fromstring(junit(case.version, found))
    first, second = root.findall("testsuite")
    assert [first.get(k) for k in ("name", "tests", "failures", "errors", "skipped")] == ["holdout", "4", "1", "1", "1"]
    assert [second.get(k) for k in ("name", "tests", "failures", "errors", "skipped")] == ["load", "1", "0", "0", "0"]
    bad = first.findall("testcase")[1].find("failure")
    assert bad is not None
    assert bad.get("message", "").startswith("<b>")
    assert bad.text == "limit ≤ 1"


def test_what_only_informs_neither_decides_nor_hides(case: Case) -> None:
    only = evidence(check("small group", None, decides=False))
    assert only.verdict is Verdict.CANNOT_TELL, "nothing that decides was measured"
    mixed = evidence(check("fine"), check("small group", None, decides=False, sentence="About 312 more labels."))
    assert mixed.verdict is Verdict.PASS
    contract = models.contract(
        gates=Gates(**{field.name: None for field in fields(Gates) if field.name not in ("plugins", "holdout")})
    )
    page = render_report(
        version=case.version, contract=contract, evidence=[replace(mixed, candidate=case.version.id)], at=mixed.at
    )
    assert "Worth knowing" in page
    assert "About 312 more labels." in page
    assert "What needs attention" not in page


def test_gates_share_memory_before_cores() -> None:
    assert fitting(10 << 20, 16 << 30, 2) == 2
    assert fitting(3 << 30, 4 << 30, 64) == 1
    assert available() > 100 << 20


def test_a_gate_whose_tables_cannot_be_read_says_so(case: Case) -> None:
    (case.base / "train.csv").write_text("")
    (said,) = run_gates(replace(case, clock=case.clock), gates=[Counting()])
    assert said.verdict is Verdict.CANNOT_TELL
    with pytest.raises(Unmeasured):
        _ = replace(case, clock=case.clock).looked_at


def test_a_pass_after_a_failure_is_no_pass_of_the_check(case: Case) -> None:
    now = [evidence(check("fine"), gate="load"), evidence(check("fine"))]
    stands = {"load": Verdict.FAIL, "holdout": Verdict.PASS}
    status = ReleaseStatus(
        version=case.version, state=State.CHECKED, gates=stands, waived=(), approvals=(), missing=(), unfilled=()
    )
    verdict = worst(status.gates[item.gate] for item in now)
    told = CheckResult(evidence=tuple(now), status=status, verdict=verdict, report=case.base)
    assert told.sentence == "load failed before on these same bytes, and one failure stays"
    both = replace(told, evidence=(now[0], evidence(check("bad", 2.0))))
    assert both.sentence == "holdout failed; load failed before on these same bytes, and one failure stays"
