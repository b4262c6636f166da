"""Scorecards: 1 proven and fresh, 0.5 claimed or stale, 0 otherwise; every tile says why and leads somewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders.domain import NOON, contract, digest, evidence, finding, version
from modelmark.domain.contract import Goal, Question, Role
from modelmark.domain.evidence import Verdict
from modelmark.domain.finding import Outcome
from modelmark.domain.release import Event
from modelmark.governance.score import DRILLED_FOR, MEASURED_FOR, WATCHED_FOR, Facts, Scorecard, Tile
from modelmark.governance.scorecards import ML_TEST_SCORE, TWELVE, ml_test_score, twelve_mistakes
from modelmark.seal.digests import digest_value

ONE = version("one")
GATES = (
    "data_contract", "holdout", "edge_cases", "parity", "load", "replay", "explanation", "fairness", "robustness",
    "supply_chain", "slices", "tests", "behaviour", "objective",
)  # fmt: skip


def event(act: str, days_ago: float = 0, sequence: int = 1) -> Event:
    at = NOON - timedelta(days=days_ago)
    details = {"model": "loans"}
    return Event(
        sequence=sequence, at=at, actor="ci", act=act, subject=ONE.id, details=details, previous="", hash="abc"
    )


def facts(**changes) -> Facts:
    usual = Facts(
        version=ONE, contract=contract(), evidence={}, events=(), findings={}, signed=False, told=False, now=NOON
    )
    return replace(usual, **changes)


def tile(of: Scorecard, id: str) -> Tile:
    return next(t for s in of.sections for t in s.tiles if t.id == id)


def passed(*gates: str):
    return {name: evidence(ONE.id, gate=name) for name in gates}


def test_the_ml_test_score_has_its_28_tests_in_four_sections_of_seven() -> None:
    assert [(name, len(rows)) for name, rows in ML_TEST_SCORE.items()] == [
        ("Data", 7), ("Model", 7), ("Infrastructure", 7), ("Monitoring", 7),
    ]  # fmt: skip
    ids = [id for board in (ML_TEST_SCORE, TWELVE) for rows in board.values() for id, _, _ in rows]
    assert len(ids) == len(set(ids))
    assert len(TWELVE) == 12


def test_knowing_nothing_scores_nothing_and_every_tile_says_why() -> None:
    for board in (twelve_mistakes(facts()), ml_test_score(facts())):
        assert board.minimum == 0
        for section in board.sections:
            for one in section.tiles:
                assert (one.points, one.sentence.endswith(".")) == (0, True), one


def test_a_gate_that_passed_proves_its_tile_until_it_is_stale() -> None:
    said = passed("holdout")
    proven = tile(twelve_mistakes(facts(evidence=said)), "1.out_of_sample")
    assert (proven.points, proven.receipt, proven.place) == (1.0, digest_value(said["holdout"]), "version#holdout")
    assert proven.expires_at == NOON + MEASURED_FOR
    later = tile(twelve_mistakes(facts(evidence=said, now=NOON + MEASURED_FOR)), "1.out_of_sample")
    assert later.points == 0.5
    assert "measure again" in later.sentence


@pytest.mark.parametrize("measured", [0.1, None], ids=["failed", "could not measure"])
def test_a_gate_that_did_not_pass_proves_nothing(measured: float | None) -> None:
    item = evidence(ONE.id, gate="holdout", measured=measured)
    assert item.verdict is not Verdict.PASS
    found = tile(twelve_mistakes(facts(evidence={"holdout": item})), "1.out_of_sample")
    assert found.points == 0
    assert item.verdict.value in found.sentence


def test_a_claim_is_half_a_point_and_only_when_signed_and_never_beats_a_proof() -> None:
    claims = contract(claims={"model.3": "grid search over 60 settings", "data.1": "we have one"})
    unsigned = tile(ml_test_score(facts(contract=claims)), "model.3")
    assert (unsigned.points, "not everybody has signed" in unsigned.sentence) == (0, True)
    signed = facts(contract=claims, signed=True)
    assert tile(ml_test_score(signed), "model.3").points == 0.5
    assert "grid search over 60 settings" in tile(ml_test_score(signed), "model.3").sentence
    assert tile(ml_test_score(replace(signed, evidence=passed("data_contract"))), "data.1").points == 1.0


def test_a_monitor_proves_while_it_looks_and_can_tell() -> None:
    seen = replace(finding(monitor="drift"), window=replace(finding().window, end=NOON))
    for outcome, points in ((Outcome.OK, 1), (Outcome.ALERT, 1), (Outcome.CANNOT_TELL, 0)):
        found = tile(twelve_mistakes(facts(findings={"drift": replace(seen, outcome=outcome)})), "2.drift")
        assert found.points == points
    stale = facts(findings={"drift": seen}, now=NOON + WATCHED_FOR)
    assert tile(twelve_mistakes(stale), "2.drift").points == 0.5


def test_drills_are_proven_by_the_audit_chain_and_fade() -> None:
    assert tile(twelve_mistakes(facts(events=[event("rolled back", 3)])), "4.rollback").points == 1
    assert tile(twelve_mistakes(facts(events=[event("rolled back", DRILLED_FOR.days)])), "4.rollback").points == 0.5
    assert tile(twelve_mistakes(facts(events=[event("released", 3)])), "4.rollback").points == 0


def test_agreements_count_when_everybody_has_signed() -> None:
    whole = contract(
        goals=(Goal(name="calls answered", measure="log", target=80, by="2027-06-30"),),
        questions=(Question(ask=Role.RISK, of=Role.PRODUCT, question="How to object?", answer="A person decides."),),
    )
    for signed, points in ((False, 0), (True, 1)):
        board = twelve_mistakes(facts(contract=whole, signed=signed))
        assert [tile(board, id).points for id in ("11.objectives", "12.goals", "11.stakeholders")] == [points] * 3
    open_question = replace(whole, questions=(replace(whole.questions[0], answer=""),))
    assert tile(twelve_mistakes(facts(contract=open_question, signed=True)), "11.objectives").points == 0


def test_the_final_score_is_the_least_section() -> None:
    strong = facts(
        evidence=passed(*GATES),
        events=[event("released as canary"), event("released", sequence=2), event("rolled back", sequence=3)],
        findings={
            name: replace(finding(monitor=name, outcome=Outcome.OK), window=replace(finding().window, end=NOON))
            for name in ("quality", "drift", "performance")
        },
        signed=True,
    )
    board = ml_test_score(strong)
    points = {section.title: section.points for section in board.sections}
    assert board.minimum == min(points.values()) == points["Model"] == 3
    assert board.weakest.title == "Model"
    assert sum(points.values()) > 15


def test_digests_lead_to_the_record() -> None:
    board = twelve_mistakes(facts(evidence=passed("load"), events=[event("released")], signed=True))
    proven = [t for s in board.sections for t in s.tiles if t.points == 1]
    assert proven
    assert all(t.place and t.receipt for t in proven)
    assert digest("x") not in {t.receipt for t in proven}
