"""An approval works once, for one digest, one environment, one predecessor, by the right person. Nothing else counts."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.domain import ANN, BOB, NOON, contract, digest, evidence, version
from builders.keys import signer
from builders.people import PASSWORD, no_effects, principal, sign_off
from modelmark.domain.errors import Conflict, ModelmarkError, NotPermitted
from modelmark.domain.people import Permission, Person, Principal, Role
from modelmark.domain.release import Approval, Comment, CommentKind, WaiverRequest
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.governance.signoff import READING
from modelmark.testing.ledger import MemoryLedger

pytestmark = pytest.mark.usefixtures("quick_hashes")
ONE, TWO = version("one", registered_by="ci"), version("two", number=2, registered_by="ci")
CY = Person(role=Role.RISK, name="Cy Fox", signs=True)
#: What a refusal of a bad approval may say.
REFUSALS = {
    "BAD_TICKET", "NOT_YOUR_TICKET", "NOT_YOU", "NOT_ALLOWED", "SIGN_IN", "SELF_APPROVAL", "WRONG_VERSION",
    "WRONG_ENVIRONMENT", "TICKET_EXPIRED", "EVIDENCE_CHANGED", "PREDECESSOR_CHANGED", "NONCE_USED", "NOT_A_SIGNER",
}  # fmt: skip


class Office:
    """Three signers with accounts, and a desk; `elsewhere` is the same office in another environment with another key."""

    def __init__(self, environment: str = "production") -> None:
        self.now = NOON
        self.ledger = MemoryLedger()
        self.sign_off = sign_off(self.ledger, self.clock, environment=environment)
        self.desk = Releases(
            self.ledger,
            Audit(self.ledger, self.clock, signer),
            self.clock,
            contract_of=lambda _: contract(people=(ANN, BOB, CY)),
            required=lambda _: ["holdout"],
            effects=no_effects(),
            sign_off=self.sign_off,
        )
        people = self.sign_off.people
        self.ci = principal(people, "ci", "The pipeline", Role.ENGINEERING)
        self.ann = principal(people, "ann", "Ann Lee", Role.DATA_SCIENCE)
        self.bob = principal(people, "bob", "Bob Ray", Role.PRODUCT)
        self.cy = principal(people, "cy", "Cy Fox", Role.RISK, Role.OPERATIONS)
        for one in (ONE, TWO):
            self.ready(one)

    def clock(self) -> datetime:
        return self.now

    def ready(self, one: Version, by: Principal | None = None, **said: Any) -> Version:
        by = by or self.ci
        self.desk.register(one, actor=by.login, by=by)
        self.desk.record(one, [evidence(one.id, **said)], actor=by.login, by=by)
        return one

    def ticket(self, who=None, of=ONE) -> str:
        who = who or self.bob
        return self.desk.ticket(of, role=who.account.roles[-1], name=who.name, by=who)

    def redeem(self, ticket: str, who=None, of=ONE):
        who = who or self.bob
        return self.desk.redeem(of, ticket, comment="", actor=who.login, by=who)

    def all_sign(self, of=ONE) -> None:
        for who, role in ((self.ann, Role.DATA_SCIENCE), (self.bob, Role.PRODUCT), (self.cy, Role.RISK)):
            self.redeem(self.desk.ticket(of, role=role, name=who.name, by=who), who, of)


@pytest.fixture
def office() -> Office:
    return Office()


def test_three_people_sign_in_their_roles_and_the_version_may_go(office: Office) -> None:
    office.all_sign()
    assert office.desk.status(ONE).obstacles == ()
    office.desk.release(ONE, actor="cy", by=office.cy)
    assert [a.login for a in office.ledger.approvals(ONE.id)] == ["ann", "bob", "cy"]


def test_a_ticket_works_once(office: Office) -> None:
    ticket = office.ticket()
    office.redeem(ticket)
    with pytest.raises(Conflict) as caught:
        office.redeem(ticket)
    assert caught.value.code == "NONCE_USED"
    assert len(office.ledger.approvals(ONE.id)) == 1


def test_a_ticket_is_for_the_person_it_was_made_out_to(office: Office) -> None:
    with pytest.raises(NotPermitted) as caught:
        office.redeem(office.ticket(), office.cy)
    assert caught.value.code == "NOT_YOUR_TICKET"


def test_nobody_approves_what_they_registered(office: Office) -> None:
    own = office.ready(version("own", number=3, registered_by="bob"))
    with pytest.raises(NotPermitted) as caught:
        office.ticket(of=own)
    assert caught.value.code == "SELF_APPROVAL"


def test_without_an_account_nobody_approves_once_there_are_accounts(office: Office) -> None:
    with pytest.raises(NotPermitted) as caught:
        office.desk.approve(ONE, role=Role.PRODUCT, name="Bob Ray", comment="", actor="root")
    assert caught.value.code == "SIGN_IN"


def test_an_approval_is_void_when_another_version_became_champion(office: Office) -> None:
    office.all_sign(TWO)
    office.all_sign(ONE)
    office.desk.release(ONE, actor="cy", by=office.cy)
    assert len(office.desk.status(TWO).missing) == 3
    with pytest.raises(NotPermitted, match="has not approved"):
        office.desk.release(TWO, actor="cy", by=office.cy)


def test_an_approval_written_into_the_database_does_not_count(office: Office) -> None:
    office.redeem(office.ticket())
    (real,) = office.ledger.approvals(ONE.id)
    forged = [
        replace(real, name=p.name, role=p.role, login=login, nonce=login) for p, login in ((ANN, "ann"), (CY, "cy"))
    ]
    for approval in (*forged, replace(forged[0], nonce="", signature="")):
        office.ledger.add_approval(approval)
    assert [a.name for a in office.desk.status(ONE).approvals] == ["Bob Ray"]


def test_an_open_change_request_holds_the_release_until_its_author_settles_it(office: Office) -> None:
    office.all_sign()
    asked = office.desk.comments.add(
        ONE, kind=CommentKind.CHANGE_REQUEST, name="", text="Why age 25 to 27?", by=office.cy
    )
    with pytest.raises(NotPermitted, match=r"Cy Fox asked for a change: Why age 25 to 27\?"):
        office.desk.release(ONE, actor="cy", by=office.cy)
    settle = {"kind": CommentKind.SETTLED, "name": "", "text": "Explained.", "about": asked.id}
    with pytest.raises(NotPermitted) as caught:
        office.desk.comments.add(ONE, by=office.bob, **settle)
    assert caught.value.code == "NOT_YOUR_REQUEST"
    office.desk.comments.add(ONE, by=office.cy, **settle)
    office.desk.release(ONE, actor="cy", by=office.cy)


def test_an_administrator_settles_for_somebody_who_is_no_longer_here(office: Office) -> None:
    made = office.ready(version("made", number=3, registered_by="ann"), by=office.ann)
    asked = office.desk.comments.add(made, kind=CommentKind.CHANGE_REQUEST, name="", text="Why?", by=office.cy)
    office.sign_off.people.disable("cy", by=office.ci)
    office.desk.comments.add(
        made, kind=CommentKind.SETTLED, name="", text="Cy has left; Ann explained it.", about=asked.id, by=office.ci
    )
    assert office.desk.status(made).requests == ()


def test_what_was_asked_before_there_were_accounts_is_settled_by_its_author(office: Office) -> None:
    early = Comment(
        id="early", version=ONE.id, evidence=digest("x"), kind=CommentKind.CHANGE_REQUEST, name="Bob Ray", login="",
        text="Why?", at=NOON,
    )  # fmt: skip
    office.ledger.add_comment(early)
    office.desk.comments.add(ONE, kind=CommentKind.SETTLED, name="", text="Seen.", about="early", by=office.bob)
    assert office.desk.status(ONE).requests == ()


def test_the_owner_s_approvals_count_no_more_once_there_are_accounts() -> None:
    office = Office()
    ledger = MemoryLedger()
    alone = sign_off(ledger, office.clock)
    desk = Releases(
        ledger, Audit(ledger, office.clock, signer), office.clock, contract_of=lambda _: contract(),
        required=lambda _: ["holdout"],
        effects=no_effects(),
        sign_off=alone,
    )  # fmt: skip
    desk.register(ONE, actor="ci")
    desk.record(ONE, [evidence(ONE.id)], actor="ci")
    for person in (ANN, BOB):
        desk.approve(ONE, role=person.role, name=person.name, comment="", actor="owner")
    assert desk.status(ONE).obstacles == ()
    operations = principal(alone.people, "opal", "Opal Orr", Role.OPERATIONS)
    with pytest.raises(NotPermitted, match="has not approved"):
        desk.release(ONE, actor="opal", by=operations)


def test_once_there_are_accounts_nobody_registers_or_measures_without_one(office: Office) -> None:
    """Else the key is left out, the version is of `somebody`, and its maker approves it."""
    with pytest.raises(NotPermitted) as caught:
        office.desk.register(version("own", number=3, registered_by="somebody"), actor="somebody")
    assert caught.value.code == "SIGN_IN"
    with pytest.raises(NotPermitted) as caught:
        office.desk.record(ONE, [evidence(ONE.id, minutes=3)], actor="somebody")
    assert caught.value.code == "SIGN_IN"
    with pytest.raises(NotPermitted) as caught:
        office.ready(version("own", number=3, registered_by="bob"), by=office.bob)
    assert caught.value.code == "NOT_ALLOWED"


def test_nobody_waives_a_gate_of_what_they_registered(office: Office) -> None:
    own = office.ready(version("own", number=3, registered_by="bob"), measured=0.1)
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    with pytest.raises(NotPermitted) as caught:
        office.desk.waive(own, excuse, role=Role.PRODUCT, name="Bob Ray", actor="bob", by=office.bob)
    assert caught.value.code == "SELF_APPROVAL"


def test_a_ticket_is_worth_nothing_once_its_owner_may_no_longer(office: Office) -> None:
    people, ticket = office.sign_off.people, office.ticket()
    people.change("bob", roles=[Role.ENGINEERING], by=office.ci)
    with pytest.raises(NotPermitted) as caught:
        office.redeem(ticket, people.by_password("bob", PASSWORD))
    assert caught.value.code == "NOT_YOU"
    people.change("bob", roles=[Role.PRODUCT], by=office.ci)
    _, secret = people.issue_key("bob", scopes=[Permission.VIEW], by=people.by_password("bob", PASSWORD))
    with pytest.raises(NotPermitted) as caught:
        office.redeem(ticket, people.by_key(secret))
    assert caught.value.code == "NOT_ALLOWED"
    people.disable("bob", by=office.ci)
    ended = Principal(account=people.accounts()[1], permissions=frozenset(), via="session")
    assert ended.login == "bob"
    with pytest.raises(NotPermitted):
        office.redeem(ticket, ended)
    assert office.ledger.approvals(ONE.id) == []


def test_only_those_who_may_release(office: Office) -> None:
    office.all_sign()
    with pytest.raises(NotPermitted) as caught:
        office.desk.release(ONE, actor="bob", by=office.bob)
    assert caught.value.code == "NOT_ALLOWED"


@pytest.mark.parametrize(
    ("role", "name", "code"),
    [
        (Role.RISK, "Cy Fox", "NOT_YOU"),
        (Role.PRODUCT, "Cy Fox", "NOT_YOU"),
        (Role.RISK, "Bob Ray", "NOT_YOU"),
    ],
    ids=["as somebody else", "in another's name", "in another's role"],
)
def test_nobody_waives_as_somebody_they_are_not(office: Office, role: Role, name: str, code: str) -> None:
    failed = office.ready(version("failed", number=3, registered_by="ci"), measured=0.1)
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    with pytest.raises(NotPermitted) as caught:
        office.desk.waive(failed, excuse, role=role, name=name, actor="bob", by=office.bob)
    assert caught.value.code == code
    assert office.ledger.waivers(failed.id) == []
    office.desk.waive(failed, excuse, role=Role.PRODUCT, name="Bob Ray", actor="bob", by=office.bob)
    assert office.desk.status(failed).open_gates == {}


def test_what_was_agreed_for_another_environment_counts_for_nothing_here(office: Office) -> None:
    """Signed by this very workspace, in this very ledger, and all else right."""
    office.all_sign()
    here = office.ledger._approvals[:]
    assert office.desk.status(ONE).missing == ()
    office.ledger._approvals[:] = [
        office.sign_off.sign_approval(replace(a, environment="staging")) if a.login == "bob" else a for a in here
    ]
    assert [person.name for person in office.desk.status(ONE).missing] == ["Bob Ray"]
    failed = office.ready(version("failed", number=3, registered_by="ci"), measured=0.1)
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    office.desk.waive(failed, excuse, role=Role.PRODUCT, name="Bob Ray", actor="bob", by=office.bob)
    assert office.desk.status(failed).open_gates == {}
    (real,) = office.ledger.waivers(failed.id)
    office.ledger._waivers[:] = [office.sign_off.sign_waiver(replace(real, environment="staging"))]
    assert set(office.desk.status(failed).open_gates) == {"holdout"}


def test_a_ticket_lives_for_eight_hours(office: Office) -> None:
    ticket, again = office.ticket(), office.ticket()
    office.now = NOON + timedelta(hours=7, minutes=59, seconds=59)
    office.redeem(again)
    office.now = NOON + timedelta(hours=8)
    with pytest.raises(NotPermitted) as caught:
        office.redeem(ticket)
    assert caught.value.code == "TICKET_EXPIRED"


def test_a_waiver_by_nobody_known_lets_nothing_through_once_there_are_accounts(office: Office) -> None:
    failed = office.ready(version("failed", number=3, registered_by="ci"), measured=0.1)
    excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1))
    office.desk.waive(failed, excuse, role=Role.PRODUCT, name="Bob Ray", actor="bob", by=office.bob)
    (real,) = office.ledger.waivers(failed.id)
    for lost in ("login", "via"):
        office.ledger._waivers[:] = [office.sign_off.sign_waiver(replace(real, **{lost: ""}))]
        assert set(office.desk.status(failed).open_gates) == {"holdout"}, lost


Attack = Callable[[Office, random.Random], None]


def _replayed(office: Office, draw: random.Random) -> None:
    office.redeem(draw.choice(office.used))  # type: ignore[attr-defined]


def _forged(office: Office, draw: random.Random) -> None:
    envelope = json.loads(base64.urlsafe_b64decode(office.ticket()))
    inner = json.loads(base64.b64decode(envelope["payload"]))
    field = draw.choice(["nonce", "evidence", "version", "environment", "login", "name", "expires_at", "role"])
    inner[field] = {
        "nonce": f"{draw.random()}", "evidence": TWO.id, "version": TWO.id, "environment": "elsewhere", "login": "ann",
        "name": "Ann Lee", "expires_at": "2099-01-01T00:00:00+00:00", "role": "risk",
    }[field]  # fmt: skip
    envelope["payload"] = base64.b64encode(json.dumps(inner).encode()).decode()
    office.redeem(base64.urlsafe_b64encode(json.dumps(envelope).encode()).decode())


def _flipped(office: Office, draw: random.Random) -> None:
    data = bytearray(base64.urlsafe_b64decode(office.ticket()))
    inside = json.loads(bytes(data))
    part = draw.choice(["payload", "signatures"])
    text = inside["payload"] if part == "payload" else inside["signatures"][0]["sig"]
    at = draw.randrange(len(text) - 4)
    new = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    if part == "payload":
        inside["payload"] = new
    else:
        inside["signatures"][0]["sig"] = new
    office.redeem(base64.urlsafe_b64encode(json.dumps(inside).encode()).decode())


def _of_another_workspace(office: Office, draw: random.Random) -> None:
    office.redeem(draw.choice([office.twin, office.staging]).ticket())  # type: ignore[attr-defined]


def _of_another_environment(office: Office, draw: random.Random) -> None:
    other = replace(office.sign_off, environment="staging")
    now = office.desk._now(ONE)
    who = office.bob
    agreed = contract(people=(ANN, BOB, CY))
    office.redeem(other.ticket(ONE, agreed, now, role=Role.PRODUCT, name=who.name, by=who))


def _self_made(office: Office, draw: random.Random) -> None:
    own = office.ready(
        version(
            f"own {draw.random()}", number=10 + draw.randrange(10**6), registered_by=draw.choice(["bob", "Bob Ray"])
        )
    )
    ticket = office.ticket(office.cy) if draw.random() < 0.5 else office.ticket(of=own)
    office.redeem(ticket, of=own)


def _in_anothers_name(office: Office, draw: random.Random) -> None:
    if draw.random() < 0.5:
        office.redeem(office.ticket(), office.cy)
    else:
        office.desk.ticket(ONE, role=Role.RISK, name="Cy Fox", by=office.bob)


def _of_another_version(office: Office, draw: random.Random) -> None:
    office.redeem(office.ticket(of=TWO), of=ONE)


def _outdated_evidence(office: Office, draw: random.Random) -> None:
    ticket = office.ticket()
    office.desk.record(ONE, [evidence(ONE.id, minutes=draw.randrange(1, 10**6))], actor="ci", by=office.ci)
    office.redeem(ticket)


def _outdated_champion(office: Office, draw: random.Random) -> None:
    ticket = office.ticket()
    office.ledger.snapshot = lambda: office.elsewhere  # type: ignore[method-assign, attr-defined]
    try:
        office.redeem(ticket)
    finally:
        del office.ledger.snapshot


def _too_late(office: Office, draw: random.Random) -> None:
    ticket = office.ticket()
    before = office.now
    office.now += READING + timedelta(seconds=draw.randrange(10**6))
    try:
        office.redeem(ticket)
    finally:
        office.now = before


ATTACKS: list[Attack] = [
    _replayed, _forged, _flipped, _of_another_workspace, _of_another_environment, _self_made, _in_anothers_name,
    _of_another_version, _outdated_evidence, _outdated_champion, _too_late,
]  # fmt: skip


def test_of_a_thousand_replayed_forged_self_made_or_outdated_approvals_none_is_accepted() -> None:
    office, draw = Office(), random.Random(7)
    elsewhere = Office()
    elsewhere.all_sign()
    elsewhere.desk.release(ONE, actor="cy", by=elsewhere.cy)
    office.elsewhere = elsewhere.ledger.snapshot()  # type: ignore[attr-defined]
    office.twin, office.staging = Office(), Office("staging")  # type: ignore[attr-defined]
    office.used = [office.ticket() for _ in range(5)]  # type: ignore[attr-defined]
    for ticket in office.used:  # type: ignore[attr-defined]
        office.redeem(ticket)
    real: list[Approval] = list(office.ledger.approvals(ONE.id))
    refused: Counter[str] = Counter()
    for k in range(1000):
        attack = ATTACKS[k % len(ATTACKS)]
        with pytest.raises(ModelmarkError) as caught:
            attack(office, draw)
        assert caught.value.code in REFUSALS, (attack.__name__, caught.value.code, caught.value.message)
        refused[caught.value.code] += 1
    kept = [a for v in office.ledger.versions() for a in office.ledger.approvals(v.id)]
    assert kept == real
    assert sum(refused.values()) == 1000
    assert len(refused) >= 9, refused
