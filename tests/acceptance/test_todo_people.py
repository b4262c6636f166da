"""To-dos between teams and before traffic, one test each: what was agreed holds, what was forgotten is named."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from candidates import Candidate, check, fitted, loans
from inbox import Inbox
from journey import silent
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.evidence import Verdict
from modelmark.domain.people import Role

pytestmark = pytest.mark.xdist_group("to-dos")


def tile(place: Any, id: str) -> Any:
    """One tile of the twelve mistakes, as `modelmark score latest` tells it."""
    sections = place.json("score", "latest")["twelve_mistakes"]["sections"]
    (found,) = [item for section in sections for item in section["tiles"] if item["id"] == id]
    return found


def test_a_staging_environment_that_simulates_production(good: Candidate, restless: Candidate):
    evidence = good.judged("replay")
    assert evidence.verdict is Verdict.PASS
    assert any("a simulated day of 150 requests of holdout rows" in note for note in evidence.notes)
    assert "0 of 150 requests met a server error." in check(evidence, "no server errors").sentence
    assert check(evidence, "declared faults get what is promised").verdict is Verdict.PASS

    other = check(restless.judged("replay"), "served equals offline")
    assert other.verdict is Verdict.FAIL
    assert "are answered otherwise by the server than by the same model without it" in other.sentence
    assert restless.status.open_gates["replay"] is Verdict.FAIL


def test_load_tests(good: Candidate, tmp_path):
    evidence = good.judged("load")
    assert evidence.verdict is Verdict.PASS
    assert "the limit is 3000 ms" in check(evidence, "p99, ms").sentence
    assert check(evidence, "errors").measured == 0

    promised = good.planted(tmp_path / "promised", lines=[(r"^  p99_ms: 3000", "  p99_ms: 0.1")])
    evidence = promised.judged("load")
    assert evidence.verdict is not Verdict.PASS, "a tenth of a millisecond is a promise nobody can keep"
    assert "the limit is 0.1 ms" in check(evidence, "p99, ms").sentence
    assert "load" in promised.status.open_gates


def test_stakeholders_early(good: Candidate, signed: Candidate, unfilled: Candidate):
    assert "nothing is released while one is empty:" in good.told
    left = unfilled.status.unfilled
    assert {"people[0].name", "people[2].name", "purpose", "questions[0].answer", "questions[5].answer"} <= set(left)
    refused = unfilled.place.run("release", "latest", code=1).err
    assert "only a person can fill purpose" in refused

    assert good.status.unfilled == ()
    refused = good.place.run("release", code=1).err
    assert "Ann Lee (data science) has not approved this evidence" in refused
    assert "Bob Ray (product) has not approved this evidence" in refused
    assert signed.status.obstacles == ()
    assert tile(signed.place, "11.stakeholders")["points"] == 0.5, "people say so and sign it; no machine proves it"
    assert "People sign in the roles data science, product." in tile(signed.place, "11.stakeholders")["sentence"]


def test_infrastructure_scalability_and_business_objectives_agreed(signed: Candidate, unfilled: Candidate):
    agreed = tile(signed.place, "11.objectives")
    assert (agreed["points"], agreed["worth"]) == (0.5, "claimed")
    assert (
        agreed["sentence"]
        == "Claimed, and signed with the contract: Goals: calls answered. 20 requests/s within 3000 ms at p99."
    )
    assert agreed["receipt"] == str(signed.version.components.contract)

    asked = {"goals[0].name", "goals[0].measure", "goals[0].target", "goals[0].by", "questions[1].answer"}
    assert asked <= set(unfilled.status.unfilled)
    missing = tile(unfilled.place, "11.objectives")
    assert (missing["points"], missing["sentence"]) == (0, "Goals or questions are not filled in.")


@pytest.fixture
def inboxes() -> Iterator[tuple[Inbox, Inbox]]:
    both = (Inbox(), Inbox())
    yield both
    for inbox in both:
        inbox.close()


def test_clear_communication_of_updates(signed: Candidate, tmp_path, inboxes: tuple[Inbox, Inbox]):
    risk, others = inboxes
    place = signed.place.copy(tmp_path / "place")
    silence = "No message about the release of v1 was ever queued; MODELMARK_NOTIFY names who is told."
    assert tile(place, "11.communication")["sentence"] == silence
    addresses = {"MODELMARK_NOTIFY": f"risk={risk.url} {others.url}"}
    place.run("release", **addresses)
    waits = tile(place, "11.communication")
    assert (waits["points"], "5 of 5 messages about the release of v1 are not delivered" in waits["sentence"]) == (
        0,
        True,
    )
    done = (
        ControlPlane.open({**place.environ, **addresses}, workspace=place.workspace).steward().step(datetime.now(UTC))
    )
    assert not done.errors, done.errors
    assert tile(place, "11.communication")["points"] == 1
    (told,) = [message for message in risk.got if message["title"] == "loans v1 was released"]
    assert "loans v1 for risk" in told["message"]
    assert "The selection rate for yes of sex" in told["message"]
    heard = [m["message"] for m in others.got if m["title"] == "loans v1 was released"]
    assert sorted(text.split(" for ")[1].split("\n")[0] for text in heard) == [
        "data science", "engineering", "operations", "product",
    ]  # fmt: skip

    from sklearn.tree import DecisionTreeClassifier

    worse = fitted(loans(1500, 1), DecisionTreeClassifier(random_state=0))
    update = Candidate(place).planted(tmp_path / "next", model=worse)
    gates = ["holdout", "fairness", "load"]
    update.app.check(update.version, update.place.contract, progress=silent, only=gates)
    notes = {role: update.app.notes(update.version, role) for role in (Role.PRODUCT, Role.RISK, Role.OPERATIONS)}
    assert update.place.run("notes", "--audience", "product").out.strip() == notes[Role.PRODUCT].strip()
    assert all("loans v2, which replaces v1." in text for text in notes.values())
    assert "holdout: objective: ✓ 0.92" in notes[Role.PRODUCT], notes[Role.PRODUCT]
    assert "against the champion v1: not measured → ✕ -0." in notes[Role.PRODUCT], (
        "a worse update is not sold as better"
    )
    assert "## Fairness" in notes[Role.RISK]
    assert "The model is worse than the champion v1" in notes[Role.RISK], "a failed gate is told to everybody"
    assert "p99" in notes[Role.OPERATIONS], notes[Role.OPERATIONS]
    assert "against the champion v1" in update.place.run("diff", "v1", "v2").out
