"""Scorecards: 1 proven and fresh, 0.5 claimed or stale, 0 otherwise; every tile says why and leads somewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from builders.domain import NOON, contract, digest, evidence, finding, version
from modelmark.domain import tiles
from modelmark.domain.audit import Event
from modelmark.domain.contract import Goal, Guardrail, Question, Retraining
from modelmark.domain.evidence import Verdict
from modelmark.domain.finding import Outcome
from modelmark.domain.metrics import Metric
from modelmark.domain.people import Role
from modelmark.domain.ports import Delivery
from modelmark.governance.proofs import DRILLED_FOR, MEASURED_FOR, RECORDED_FOR, WATCHED_FOR
from modelmark.governance.score import Facts, Scorecard, Tile, Worth
from modelmark.governance.scorecards import ML_TEST_SCORE, TWELVE, ml_test_score, twelve_mistakes
from modelmark.seal.digests import digest_value

ONE, OTHER = version("one"), version("other")
GATES = (
    "data_contract", "holdout", "edge_cases", "parity", "load", "replay", "explanation", "fairness", "robustness",
    "supply_chain", "slices", "tests", "behaviour", "objective",
)  # fmt: skip


def event(act: str, days_ago: float = 0, sequence: int = 1, of=ONE) -> Event:
    at = NOON - timedelta(days=days_ago)
    details = {"model": "loans"}
    return Event(
        sequence=sequence,
        at=at,
        actor="ci",
        act=act,
        subject=of.id,
        details=details,
        previous="",
        hash=digest(f"{act}{sequence}").hex,
    )


def facts(**changes) -> Facts:
    usual = Facts(
        version=ONE, contract=contract(), evidence={}, events=(), findings={}, signed=False, told=(), alerted=(),
        now=NOON,
    )  # fmt: skip
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
    assert set(ids) == set(tiles.TILES), "what a contract may claim"
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
    assert (MEASURED_FOR.days, WATCHED_FOR.days, DRILLED_FOR.days, RECORDED_FOR.days) == (90, 1, 180, 365), (
        "as documented"
    )
    assert proven.expires_at == NOON + MEASURED_FOR
    later = tile(twelve_mistakes(facts(evidence=said, now=NOON + MEASURED_FOR)), "1.out_of_sample")
    assert (later.points, later.worth, later.receipt) == (0, Worth.STALE, proven.receipt)
    assert "again: modelmark check v1 --model loans --only holdout --again." in later.sentence
    signed = facts(
        evidence=said, now=NOON + MEASURED_FOR, signed=True, contract=contract(claims={"1.out_of_sample": "a"})
    )
    assert tile(twelve_mistakes(signed), "1.out_of_sample").worth is Worth.CLAIMED


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
    assert tile(twelve_mistakes(stale), "2.drift").worth is Worth.STALE


def test_drills_are_proven_by_the_audit_chain_and_fade() -> None:
    assert tile(twelve_mistakes(facts(events=[event("rolled back", 3)])), "4.rollback").points == 1
    assert tile(twelve_mistakes(facts(events=[event("rolled back", 3, of=OTHER)])), "4.rollback").points == 1
    old = tile(twelve_mistakes(facts(events=[event("rolled back", DRILLED_FOR.days)])), "4.rollback")
    assert (old.worth, "again: modelmark rollback --model loans." in old.sentence) == (Worth.STALE, True)
    assert tile(twelve_mistakes(facts(events=[event("released", 3)])), "4.rollback").points == 0


@pytest.mark.parametrize("id", ["1.partial", "4.reproducible", "10.tamper", "infra.4", "infra.6"])
def test_what_was_done_with_another_version_proves_nothing_of_this_one(id: str) -> None:
    def found(of) -> Tile:
        acts = [event("released as canary", of=of), event("released", sequence=2, of=of)]
        given = facts(events=acts, evidence=passed("holdout"))
        boards = [*twelve_mistakes(given).sections, *ml_test_score(given).sections]
        return next(t for section in boards for t in section.tiles if t.id == id)

    assert found(ONE).worth is Worth.PROVEN
    assert (found(OTHER).worth, "v1 was released" in found(OTHER).sentence) == (Worth.OPEN, True)


def explained(**checks: float):
    """The explanation gate passes; what only informs says what is given."""
    item = evidence(ONE.id, gate="explanation")
    own = tuple(
        replace(item.checks[0], name=name.replace("_", " "), measured=value, decides=False, sentence=f"{name} says so.")
        for name, value in checks.items()
    )
    return replace(item, checks=(*item.checks, *own))


@pytest.mark.parametrize(("id", "check"), [
    ("data.2", "every_column_matters"), ("model.5", "opacity"), ("3.transparent", "opacity"),
])  # fmt: skip
def test_a_tile_asks_for_a_checks_own_verdict_when_the_gate_does_not_decide_by_it(id: str, check: str) -> None:
    def found(item) -> Tile:
        given = facts(evidence={"explanation": item, **passed("holdout")})
        boards = [*twelve_mistakes(given).sections, *ml_test_score(given).sections]
        return next(t for section in boards for t in section.tiles if t.id == id)

    good, bad, silent = explained(**{check: 0.9}), explained(**{check: 0.1}), explained()
    assert good.verdict is bad.verdict is silent.verdict is Verdict.PASS
    assert (found(good).worth, found(good).receipt) == (Worth.PROVEN, digest_value(good)) or id == "model.5"
    assert (found(bad).worth, found(bad).sentence) == (Worth.OPEN, f"{check} says so.")
    assert found(silent).worth is Worth.OPEN
    assert "modelmark check v1 --model loans --only explanation --again" in found(silent).sentence


def test_guardrails_are_proven_by_the_gate_that_measures_them_and_only_where_there_are_some() -> None:
    held = contract(guardrails=(Guardrail(metric=Metric.RECALL, limit=0.5),))
    for given, points in ((held, 1), (contract(), 0)):
        assert (
            tile(twelve_mistakes(facts(contract=given, evidence=passed("objective"))), "12.guardrails").points == points
        )
    assert tile(twelve_mistakes(facts(contract=held, signed=True)), "12.guardrails").points == 0


def test_people_are_told_when_every_message_arrived_and_not_when_it_was_queued() -> None:
    sent = Delivery(key="released-3-risk", audience="risk", sent_at=NOON)
    waits = replace(sent, key="released-3-product", sent_at=None)
    for told, points in (((), 0), ((sent, waits), 0), ((sent,), 1)):
        for id in ("8.alerts", "11.communication"):
            assert tile(twelve_mistakes(facts(told=told, events=[event("released")])), id).points == points, (told, id)
    alert = Delivery(key="opened-7", audience="", sent_at=None)
    late = facts(told=(sent,), alerted=(alert,))
    assert (
        tile(twelve_mistakes(late), "8.alerts").sentence == "1 of 1 messages about alerts of loans are not delivered."
    )


def test_what_is_not_kept_is_told_from_what_is_known() -> None:
    known = facts(
        version=replace(ONE, lineage=replace(ONE.lineage, git_commit="0123456789abcdef")), events=[event("released")]
    )
    assert tile(ml_test_score(known), "model.1").sentence == (
        "v1 comes from commit 0123456789ab; no receipt says that it was reviewed."
    )
    assert "not registered from a git checkout" in tile(ml_test_score(facts()), "model.1").sentence
    assert tile(ml_test_score(known), "model.2").sentence.startswith("loans was released 1 time; ")


def test_agreements_are_claims_once_everybody_has_signed() -> None:
    whole = contract(
        goals=(Goal(name="calls answered", measure="log", target=80, by="2027-06-30"),),
        questions=(Question(ask=Role.RISK, of=Role.PRODUCT, question="How to object?", answer="A person decides."),),
    )
    for signed, points in ((False, 0), (True, 0.5)):
        board = twelve_mistakes(facts(contract=whole, signed=signed))
        assert [tile(board, id).points for id in ("11.objectives", "12.goals", "11.stakeholders")] == [points] * 3
    open_question = replace(whole, questions=(replace(whole.questions[0], answer=""),))
    assert tile(twelve_mistakes(facts(contract=open_question, signed=True)), "11.objectives").points == 0


def test_the_final_score_is_the_least_section() -> None:
    strong = facts(
        evidence={**passed(*GATES), "explanation": explained(opacity=0.9, every_column_matters=0.9)},
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


def test_every_point_names_the_digest_of_the_record_that_gives_it() -> None:
    """Everything that can be proven or claimed is, from records whose digests we know; nothing else is a receipt."""
    explains = explained(opacity=0.9, every_column_matters=0.9)
    says = {**passed(*GATES), "explanation": explains}
    acts = [event("released as canary"), event("released", sequence=2), event("rolled back", sequence=3)]
    looks = {
        name: replace(finding(monitor=name, outcome=Outcome.OK), window=replace(finding().window, end=NOON))
        for name in ("quality", "drift", "performance")
    }
    told = (Delivery(key="released-3-risk", audience="risk", sent_at=NOON),)
    known = replace(ONE, lineage=replace(ONE.lineage, git_commit="0123456789abcdef", run_id="run"))
    whole = contract(
        claims={"model.3": "grid search"},
        retraining=Retraining(max_age_days=30),
        guardrails=(Guardrail(metric=Metric.RECALL, limit=0.5),),
    )
    given = facts(
        version=known, contract=whole, evidence=says, events=acts, findings=looks, told=told, alerted=told, signed=True
    )
    records = {
        *(digest_value(item) for item in (*says.values(), *looks.values(), told)),
        *(act.hash for act in acts),
        known.id,
        known.components.contract,
    }
    scored = [t for board in (twelve_mistakes(given), ml_test_score(given)) for s in board.sections for t in s.tiles]
    worth = [t for t in scored if t.points]
    assert {t.receipt for t in worth} == records, "each record gives a point, and each point has a record"
    assert all(t.place for t in worth)
    assert not [t for t in scored if not t.points and t.receipt]
