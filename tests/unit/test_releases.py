"""No mark, no traffic: the acts of governance and what each refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.domain import ANN, BOB, NOON, approval, contract, digest, evidence, version
from builders.keys import signer
from builders.people import no_effects, sign_off
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Conflict, NotPermitted, Rejected, Tampered
from modelmark.domain.evidence import Bound, Check, Limit, Verdict, decide
from modelmark.domain.people import Role
from modelmark.domain.release import State, WaiverRequest
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit, verify_chain
from modelmark.governance.releases import Releases
from modelmark.testing.ledger import MemoryLedger

ONE = version("one")
TWO = version("two", number=2)
THREE = version("three", number=3)
FOUR = version("four", number=4)


class World:
    """A release desk over an in-memory ledger, with what it wrote kept for looking at."""

    def __init__(self, agreed: Contract | None = None) -> None:
        self.now = NOON
        self.ledger = MemoryLedger()
        self.audit = Audit(self.ledger, self.clock, signer)
        self.marked: list[Version] = []
        self.published: list[Snapshot] = []
        self.contract = agreed or contract()
        self.desk = Releases(
            self.ledger,
            self.audit,
            self.clock,
            contract_of=lambda _: self.contract,
            required=lambda _: ["holdout"],
            effects=no_effects(keep_mark=lambda v, _: self.marked.append(v), publish=self.published.append),
            sign_off=sign_off(self.ledger, self.clock),
        )

    def clock(self) -> datetime:
        return self.now

    def ready(self, one: Version = ONE) -> Version:
        self.desk.register(one, actor="ci")
        self.desk.record(one, [evidence(one.id)], actor="ci")
        for person in (ANN, BOB):
            self.desk.approve(one, role=person.role, name=person.name, comment="", actor="ci")
        return one

    def excused(self, until: datetime) -> World:
        """ONE failed its holdout, and Bob lets it through."""
        self.desk.register(ONE, actor="ci")
        self.desk.record(ONE, [evidence(ONE.id, measured=0.1)], actor="ci")
        excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=until)
        self.desk.waive(ONE, excuse, role=BOB.role, name=BOB.name, actor="ci")
        return self

    def serving(self, *versions: Version) -> World:
        for one in versions:
            self.desk.release(self.ready(one), actor="ci")
        return self


@pytest.mark.parametrize(
    ("heard", "verdict"),
    [
        pytest.param([], Verdict.CANNOT_TELL, id="no gate spoke"),
        pytest.param([evidence(ONE.id, measured=None)], Verdict.CANNOT_TELL, id="could not measure"),
        pytest.param([evidence(ONE.id, measured=float("nan"))], Verdict.CANNOT_TELL, id="measured not a number"),
        pytest.param([evidence(TWO.id)], Verdict.CANNOT_TELL, id="about another model"),
        pytest.param([evidence(ONE.id, gate="load")], Verdict.CANNOT_TELL, id="another gate"),
        pytest.param([evidence(ONE.id, measured=0.1)], Verdict.FAIL, id="failed"),
        pytest.param(
            [evidence(ONE.id, measured=0.1), evidence(ONE.id, minutes=5)],
            Verdict.FAIL,
            id="failed, then re-run to pass",
        ),
        pytest.param(
            [evidence(ONE.id), evidence(ONE.id, measured=None, minutes=5)],
            Verdict.CANNOT_TELL,
            id="passed, then could not be measured",
        ),
    ],
)
def test_a_release_is_refused_when(heard: list[Any], verdict: Verdict) -> None:
    assert decide(heard, candidate=ONE.id, required={"holdout"}) is verdict


def test_what_could_not_be_measured_may_be_asked_again() -> None:
    heard = [evidence(ONE.id, measured=None), evidence(ONE.id, minutes=1)]
    assert decide(heard, candidate=ONE.id, required={"holdout"}) is Verdict.PASS


def test_a_gate_without_checks_cannot_tell() -> None:
    assert replace(evidence(), checks=()).verdict is Verdict.CANNOT_TELL


def test_an_infinite_measurement_holds_no_limit() -> None:
    limit = Limit(bound=Bound.AT_LEAST, value=0.5)
    assert not limit.holds(float("inf"))
    assert Check(name="x", measured=float("inf"), limit=limit, sentence="").verdict is Verdict.CANNOT_TELL


def test_a_version_travels_from_registered_to_champion() -> None:
    world = World()
    seen = []
    world.desk.register(ONE, actor="ci")
    seen.append(world.ledger.state(ONE.id))
    world.desk.record(ONE, [evidence(ONE.id)], actor="ci")
    seen.append(world.ledger.state(ONE.id))
    world.desk.approve(ONE, role=ANN.role, name=ANN.name, comment="", actor="ci")
    seen.append(world.ledger.state(ONE.id))
    world.desk.approve(ONE, role=BOB.role, name=BOB.name, comment="", actor="ci")
    seen.append(world.ledger.state(ONE.id))
    snapshot = world.desk.release(ONE, actor="ci")
    seen.append(world.ledger.state(ONE.id))
    assert seen == [State.REGISTERED, State.CHECKED, State.CHECKED, State.APPROVED, State.CHAMPION]
    assert world.marked == [ONE]
    assert world.published == [snapshot]
    assert snapshot.routes[0].arms[0].version == ONE.id


def test_the_same_bytes_register_once() -> None:
    world = World()
    assert world.desk.register(ONE, actor="ci")
    assert not world.desk.register(ONE, actor="ci")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param({"purpose": " "}, "purpose", id="a line only a person can fill is empty"),
        pytest.param({"people": (ANN, BOB, replace(BOB, name="Cy Fox"))}, "Cy Fox", id="a signer has not approved"),
    ],
)
def test_no_traffic_while(spoil: dict[str, Any], reason: str) -> None:
    world = World()
    world.ready()
    world.contract = contract(**spoil)
    with pytest.raises(NotPermitted, match=reason):
        world.desk.release(ONE, actor="ci")
    assert world.published == []
    assert world.marked == []


def test_new_evidence_voids_approvals_of_the_old() -> None:
    world = World()
    world.ready()
    world.desk.record(ONE, [evidence(ONE.id, minutes=9)], actor="ci")
    assert len(world.desk.status(ONE).missing_signatures) == 2
    with pytest.raises(NotPermitted, match="Ann Lee"):
        world.desk.release(ONE, actor="ci")


def test_a_gate_that_never_ran_is_not_run_yet_and_one_that_could_not_tell_says_so() -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    before = world.desk.status(ONE)
    assert (before.said("holdout"), before.obstacles[0]) == ("not run yet", "the gate holdout has not been run yet")
    world.desk.record(ONE, [evidence(ONE.id, measured=None)], actor="ci")
    after = world.desk.status(ONE)
    assert (after.said("holdout"), after.obstacles[0]) == ("cannot tell", "the gate holdout says: cannot tell")


def test_a_failed_version_cannot_be_approved() -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    world.desk.record(ONE, [evidence(ONE.id, measured=0.1)], actor="ci")
    with pytest.raises(NotPermitted, match="holdout says: fail"):
        world.desk.approve(ONE, role=ANN.role, name=ANN.name, comment="", actor="ci")


@pytest.mark.parametrize(("role", "name"), [(Role.RISK, ANN.name), (ANN.role, "Eve")])
def test_only_the_named_people_may_approve(role: Role, name: str) -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    world.desk.record(ONE, [evidence(ONE.id)], actor="ci")
    with pytest.raises(NotPermitted, match="names no signer"):
        world.desk.approve(ONE, role=role, name=name, comment="", actor="ci")


def test_a_waiver_lets_a_failed_gate_through_until_its_day() -> None:
    tomorrow = NOON + timedelta(days=1)
    world = World().excused(tomorrow)
    for person in (ANN, BOB):
        world.desk.approve(ONE, role=person.role, name=person.name, comment="", actor="ci")
    world.now = tomorrow
    with pytest.raises(NotPermitted, match="holdout says: fail"):
        world.desk.release(ONE, actor="ci")
    world.now = NOON
    world.desk.release(ONE, actor="ci")
    assert world.ledger.state(ONE.id) is State.CHAMPION


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": " "}, "NO_REASON"),
        ({"expires_at": NOON}, "ALREADY_EXPIRED"),
        ({"expires_at": NOON + timedelta(days=367)}, "TOO_LONG"),
        ({"gate": "nosuch"}, "NO_SUCH_GATE"),
    ],
)
def test_a_waiver_without_substance_is_refused(changes: dict[str, Any], code: str) -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    world.desk.record(ONE, [evidence(ONE.id, measured=0.1)], actor="ci")
    usual = {"gate": "holdout", "reason": "pilot", "expires_at": NOON + timedelta(days=1)}
    with pytest.raises(Rejected) as caught:
        world.desk.waive(ONE, WaiverRequest(**{**usual, **changes}), role=BOB.role, name=BOB.name, actor="ci")
    assert caught.value.code == code


def test_what_a_gate_has_not_said_cannot_be_waived() -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    with pytest.raises(NotPermitted) as caught:
        world.desk.waive(ONE, excuse, role=BOB.role, name=BOB.name, actor="ci")
    assert caught.value.code == "NOT_MEASURED"


def test_a_waiver_is_void_when_its_gate_says_something_else() -> None:
    world = World().excused(NOON + timedelta(days=1))
    assert not world.desk.status(ONE).open_gates
    world.desk.record(ONE, [evidence(ONE.id, measured=0.0, minutes=5)], actor="ci")
    assert set(world.desk.status(ONE).open_gates) == {"holdout"}


def test_a_waiver_written_into_the_database_lets_nothing_through() -> None:
    world = World().excused(NOON + timedelta(hours=1))
    (real,) = world.ledger.waivers(ONE.id)
    world.now = NOON + timedelta(days=2)
    world.ledger.add_waiver(replace(real, expires_at=NOON + timedelta(days=9)))
    assert set(world.desk.status(ONE).open_gates) == {"holdout"}


def test_rolling_back_twice_never_brings_back_what_was_rolled_back() -> None:
    world = World().serving(ONE, TWO)
    world.desk.rollback("loans", actor="ops", reason="harm")
    world.serving(THREE, FOUR)
    assert world.desk.rollback("loans", actor="ops")[1].id == THREE.id
    assert world.desk.route("loans").previous == ONE.id
    assert world.desk.rollback("loans", actor="ops")[1].id == ONE.id
    with pytest.raises(NotPermitted, match="nothing to go back to"):
        world.desk.rollback("loans", actor="ops")


def test_what_was_rolled_back_is_signed_again_before_it_comes_back() -> None:
    world = World().serving(ONE, TWO)
    world.now += timedelta(hours=1)
    read_before = world.desk.ticket(TWO, role=BOB.role, name=BOB.name, by=None)
    world.desk.rollback("loans", actor="ops", reason="harm")
    world.now += timedelta(hours=1)
    assert len(world.desk.status(TWO).missing) == 2
    with pytest.raises(NotPermitted, match="has not approved"):
        world.desk.release(TWO, actor="ci")
    with pytest.raises(Conflict) as caught:
        world.desk.redeem(TWO, read_before, comment="", actor="ci", by=None)
    assert caught.value.code == "ROLLED_BACK_SINCE"
    for person in (ANN, BOB):
        world.desk.approve(TWO, role=person.role, name=person.name, comment="", actor="ci")
    world.desk.release(TWO, actor="ci")
    assert world.ledger.state(TWO.id) is State.CHAMPION


def test_a_new_champion_retires_the_old_one_and_rollback_brings_it_back() -> None:
    world = World().serving(ONE, TWO)
    assert world.ledger.state(ONE.id) is State.RETIRED
    left, back, snapshot = world.desk.rollback("loans", actor="ops")
    assert (left.id, back.id) == (TWO.id, ONE.id)
    assert world.ledger.state(TWO.id) is State.ROLLED_BACK
    assert world.ledger.state(ONE.id) is State.CHAMPION
    assert snapshot.routes[0].previous is None  # nothing served before the first


def test_rollback_goes_back_step_by_step() -> None:
    world = World().serving(ONE, TWO, THREE)
    assert [world.desk.rollback("loans", actor="ops")[1].id for _ in range(2)] == [TWO.id, ONE.id]
    with pytest.raises(NotPermitted, match="first release"):
        world.desk.rollback("loans", actor="ops")


def test_a_canary_takes_its_share_and_leaves_it_on_rollback() -> None:
    world = World().serving(ONE)
    snapshot = world.desk.release(world.ready(TWO), share=0.1, actor="ops")
    assert [(arm.name, arm.weight) for arm in snapshot.routes[0].arms] == [("champion", 0.9), ("canary", 0.1)]
    left, back, after = world.desk.rollback("loans", actor="ops")
    assert (left.id, back.id) == (TWO.id, ONE.id)
    assert [(arm.name, arm.weight) for arm in after.routes[0].arms] == [("champion", 1.0)]


def test_a_canary_can_become_champion() -> None:
    world = World().serving(ONE)
    world.desk.release(world.ready(TWO), share=0.1, actor="ops")
    snapshot = world.desk.release(TWO, actor="ops")
    assert [arm.version for arm in snapshot.routes[0].arms] == [TWO.id]
    assert snapshot.routes[0].previous == ONE.id


def test_a_canary_needs_a_champion_beside_it() -> None:
    world = World()
    with pytest.raises(NotPermitted, match="no champion"):
        world.desk.release(world.ready(), share=0.1, actor="ops")
    assert world.ledger.state(ONE.id) is State.APPROVED


def test_snapshots_only_grow() -> None:
    world = World().serving(ONE, TWO)
    world.desk.rollback("loans", actor="ops")
    assert [snapshot.sequence for snapshot in world.published] == [1, 2, 3]


def test_every_act_is_in_the_audit_chain() -> None:
    world = World().serving(ONE)
    acts = [event.act for event in world.ledger.events()]
    assert acts == ["registered", "measured", "approved", "approved", "released"]
    assert verify_chain(world.ledger.events()) == 5


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        pytest.param(lambda e: [*e[:2], replace(e[2], actor="eve"), *e[3:]], "AUDIT_CHANGED", id="an actor changed"),
        pytest.param(lambda e: [*e[:2], replace(e[2], details={}), *e[3:]], "AUDIT_CHANGED", id="details changed"),
        pytest.param(lambda e: [*e[:2], *e[3:]], "AUDIT_GAP", id="an event dropped"),
        pytest.param(lambda e: [e[0], e[2], e[1], *e[3:]], "AUDIT_GAP", id="two events swapped"),
    ],
)
def test_the_chain_tells_when(tamper: Callable[[list[Any]], list[Any]], code: str) -> None:
    world = World().serving(ONE)
    with pytest.raises(Tampered) as caught:
        verify_chain(tamper(list(world.ledger.events())))
    assert caught.value.code == code


def test_an_approval_of_other_evidence_does_not_count() -> None:
    world = World()
    world.desk.register(ONE, actor="ci")
    world.desk.record(ONE, [evidence(ONE.id)], actor="ci")
    for person in (ANN, BOB):
        world.ledger.add_approval(approval(ONE, digest("other evidence"), person))
    assert len(world.desk.status(ONE).missing_signatures) == 2
