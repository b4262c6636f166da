"""Odd rows that the data suggest: rare categories, corners, far rows, nulls together, and rows at the threshold."""

from __future__ import annotations

import dataclasses

import pytest
from sklearn.linear_model import LinearRegression

import cases
import models
from endpoint import Broken
from modelmark.domain.catalogue.gate_settings import EdgeCasesGate
from modelmark.domain.contract import Fallback, FallbackKind, Serving
from modelmark.domain.errors import OutputInvalid
from modelmark.domain.evidence import Verdict
from modelmark.domain.metrics import Task
from modelmark.gates.edge_cases.gate import EdgeCases
from modelmark.gates.edge_cases.rows import odd_rows
from modelmark.gates.runner import run_gate
from modelmark.testing.gates import check_gate

CONTRACT = dataclasses.replace(models.contract(nullable=True), serving=Serving(max_rows=64))


def train(rows=800, seed=1):
    table = models.frame(rows, seed, nulls=0.1)
    table.loc[table["job-title"] == "smith", "job-title"] = "clerk"
    table.loc[:1, "job-title"] = "smith"
    return table


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return cases.case(
        tmp_path_factory.mktemp("sound"), CONTRACT, train=train(), holdout=models.frame(400, 2, nulls=0.1)
    )


def run(case, **settings):
    return run_gate(EdgeCases(EdgeCasesGate(**settings)), case)


def families(case):
    odd = list(odd_rows(case.contract, case.train, case.holdout, list(range(len(case.holdout)))))
    return {name: [o for o in odd if o.name.startswith(name)] for name in ("rare", "joint", "far", "nulls")}


def test_every_family_is_there_and_inside_the_contract(sound):
    found = families(sound)
    assert [o.name for o in found["rare"]] == ["rare category: job-title='smith' (0.25% of training)"]
    assert found["joint"][0].rows[0]["income per year"] == -50
    assert found["joint"][1].rows[0]["age"] == 80
    assert len(found["joint"]) == 4
    assert len(found["far"]) == 20
    assert {frozenset(n for n, v in o.rows[0].items() if v is None) for o in found["nulls"]} == {
        frozenset({"income per year", "town"}), frozenset({"income per year"}), frozenset({"town"})
    }  # fmt: skip


@pytest.mark.parametrize(
    ("when", "family"),
    [
        pytest.param(lambda r: r.get("job-title") == "smith", "rare category", id="rare category"),
        pytest.param(lambda r: r.get("income per year") == 150 and r.get("age") == 80, "joint extremes", id="corner"),
        pytest.param(
            lambda r: len(r) == 4 and r["income per year"] is None and r["town"] is None, "nulls together", id="nulls"
        ),
    ],
)
def test_a_crash_on_a_combination_is_found(sound, when, family):
    def crash(endpoint, rows):
        if len(rows) == 1 and when(rows[0]):
            raise ZeroDivisionError("planted")
        return endpoint.predict(rows)

    evidence = run(dataclasses.replace(sound, predictor=Broken(sound.predictor, crash)))
    assert evidence.verdict is Verdict.FAIL
    assert any(name.startswith(family) and "ZeroDivisionError" in got for name, _, got in evidence.tables[0].rows)


def test_the_gate_conforms_and_says_what_it_tried(sound):
    def nonsense(endpoint, rows):
        return [
            [float("nan")] * 2 if r.get("job-title") == "smith" else s
            for s, r in zip(endpoint.predict(rows), rows, strict=True)
        ]

    broken = dataclasses.replace(sound, predictor=Broken(sound.predictor, nonsense))
    evidence = check_gate(lambda: EdgeCases(EdgeCasesGate()), sound, broken)
    assert evidence.notes == (
        "Suggested by the data: 1 × rare category, 4 × joint extremes, 20 × far from training, 3 × nulls together.",
    )


def test_rows_at_the_threshold_are_shown_and_do_not_decide(sound):
    check = next(c for c in run(sound).checks if c.name == "near the threshold")
    assert not check.decides
    assert check.n == 50
    assert "smallest edits" in check.sentence

    def wild(endpoint, rows):
        return [[1 - (r["age"] % 2), r["age"] % 2] if isinstance(r.get("age"), int) else s
                for s, r in zip(endpoint.predict(rows), rows, strict=True)]  # fmt: skip

    evidence = run(dataclasses.replace(sound, predictor=Broken(sound.predictor, wild)))
    check = next(c for c in evidence.checks if c.name == "near the threshold")
    assert check.estimate == 1
    assert "the largest change of a score is 1 (age" in check.sentence


def test_a_guard_that_hands_a_corner_to_the_fallback_keeps_its_promise(tmp_path):
    plain = models.contract(Task.REGRESSION, names=models.NUMERIC)
    frame = models.frame(600, 1)
    model = LinearRegression().fit(frame[models.NUMERIC], frame["amount"])
    case = cases.case(tmp_path, plain, train=frame, holdout=models.frame(200, 2), model=model)

    def guarded(endpoint, rows):
        if any(r.get("income per year") == -50 and r.get("age") == 18 for r in rows):
            raise OutputInvalid("out of range")
        return endpoint.predict(rows)

    case = dataclasses.replace(case, predictor=Broken(case.predictor, guarded))
    assert run(case).verdict is Verdict.FAIL
    chain = dataclasses.replace(plain, fallback=(Fallback(kind=FallbackKind.REVIEW),))
    assert run(dataclasses.replace(case, contract=chain)).verdict is Verdict.PASS
