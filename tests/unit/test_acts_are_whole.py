"""An act of governance happens once, about what was seen, and wholly: else nothing has changed and the loser is told."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from builders.domain import ANN, BOB, NOON, contract, evidence, version
from builders.keys import signer
from builders.people import PASSWORD, invited, no_effects, principal, sign_off, signed_in
from modelmark.domain.errors import Conflict, NotYet
from modelmark.domain.people import Permission, Person, Role
from modelmark.domain.release import CommentKind, State, WaiverRequest
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.releases import Releases
from modelmark.testing.ledger import MemoryLedger

pytestmark = pytest.mark.usefixtures("quick_hashes")
CY = Person(role=Role.RISK, name="Cy Fox")
V = {n: version(f"v{n}", number=n, registered_by="ci") for n in range(1, 6)}
FAILED = version("failed", number=9, registered_by="ci")


class Place:
    """Four versions served one after the other by the workspace's owner; the fifth is signed, another has failed."""

    def __init__(self) -> None:
        self.ledger, self.published, self.full = MemoryLedger(), list[Snapshot](), False
        self.audit = Audit(self.ledger, lambda: NOON, signer)
        self.sign_off = sign_off(self.ledger, lambda: NOON)
        self.desk = Releases(
            self.ledger, self.audit, lambda: NOON, contract_of=lambda _: contract(), required=lambda _: ["holdout"],
            effects=no_effects(publish=self.publish), sign_off=self.sign_off,
        )  # fmt: skip
        for number in range(1, 5):
            self.desk.release(self.ready(V[number]), actor="ci")
        self.ready(V[5])
        self.desk.register(FAILED, actor="ci")
        self.desk.record(FAILED, [evidence(FAILED.id, measured=0.1)], actor="ci")

    def publish(self, snapshot: Snapshot) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.published.append(snapshot)

    def ready(self, one: Version) -> Version:
        self.desk.register(one, actor="ci")
        self.desk.record(one, [evidence(one.id)], actor="ci")
        self.sign(one)
        return one

    def sign(self, one: Version) -> None:
        for person in (ANN, BOB):
            self.desk.approve(one, role=person.role, name=person.name, comment="", actor="ci")

    def seen(self) -> str:
        return self.desk.routes.seen("loans")

    def waive(self, **more: Any) -> None:
        evidence_read = more.pop("evidence", "")
        excuse = WaiverRequest(
            gate="holdout", reason="pilot", expires_at=NOON + timedelta(days=1), evidence=evidence_read
        )
        self.desk.waive(FAILED, excuse, role=BOB.role, name=BOB.name, actor="ci", **more)


@pytest.fixture
def place() -> Place:
    return Place()


ACTS: dict[str, Callable[[Place, str], Any]] = {
    "rollback": lambda p, seen: p.desk.rollback("loans", actor="ops", expected=seen),
    "release": lambda p, seen: p.desk.release(V[5], actor="ops", expected=seen),
    "canary": lambda p, seen: p.desk.release(V[5], share=0.1, actor="ops", expected=seen),
    "waive": lambda p, seen: p.waive(expected=seen),
    "approve": lambda p, seen: p.desk.approve(
        V[5], role=ANN.role, name=ANN.name, comment="", actor="ann", expected=seen
    ),
}


@pytest.mark.parametrize("before", ["rollback", "release", "canary"])
@pytest.mark.parametrize("act", ACTS)
def test_whoever_saw_what_no_longer_serves_is_told_so_and_changes_nothing(place: Place, act: str, before: str) -> None:
    seen = place.seen()
    ACTS[before](place, seen)
    held, serving = len(place.ledger.events()), place.seen()
    with pytest.raises(Conflict) as caught:
        ACTS[act](place, seen)
    assert (caught.value.code, caught.value.limit) == ("CHAMPION_CHANGED", f"now: {serving}")
    assert (len(place.ledger.events()), place.seen()) == (held, serving)


def test_two_rollbacks_at_once_go_back_once(place: Place) -> None:
    seen = place.seen()
    place.desk.rollback("loans", actor="ops", expected=seen)
    with pytest.raises(Conflict):
        place.desk.rollback("loans", actor="ops", expected=seen)
    assert (seen, place.seen()) == ("v4", "v3")


def test_two_who_end_a_canary_end_it_once(place: Place) -> None:
    ACTS["canary"](place, place.seen())
    seen = place.seen()
    assert seen == "v4+v5"
    place.desk.rollback("loans", actor="ops", expected=seen)
    with pytest.raises(Conflict):
        place.desk.rollback("loans", actor="ops", expected=seen)
    assert place.seen() == "v4"


def test_a_waiver_is_about_the_evidence_that_was_read(place: Place) -> None:
    with pytest.raises(Conflict) as caught:
        place.waive(evidence="sha256:" + "0" * 64)
    assert caught.value.code == "EVIDENCE_CHANGED"
    assert place.ledger.waivers(FAILED.id) == []


def test_a_request_is_settled_once(place: Place) -> None:
    add = place.desk.comments.add
    asked = add(V[5], kind=CommentKind.CHANGE_REQUEST, name="Cy Fox", text="Why?", by=None)
    settle: dict[str, Any] = {"kind": CommentKind.SETTLED, "name": "Cy Fox", "text": "Seen.", "by": None}
    add(V[5], about=asked.id, **settle)
    with pytest.raises(Conflict) as caught:
        add(V[5], about=asked.id, **settle)
    assert caught.value.code == "SETTLED_ALREADY"


@pytest.mark.parametrize("act", ["rollback", "release", "canary"])
def test_an_act_whose_snapshot_cannot_be_written_is_done_says_so_and_heals(place: Place, act: str) -> None:
    place.full = True
    with pytest.raises(NotYet) as caught:
        ACTS[act](place, place.seen())
    assert caught.value.code == "NOT_PUBLISHED"
    assert "nothing is to be done again" in str(caught.value.hint)
    assert place.seen() == {"rollback": "v3", "release": "v5", "canary": "v4+v5"}[act]
    assert place.published[-1].sequence == 4
    place.full = False
    place.desk.republish()
    assert place.published[-1] == place.ledger.snapshot()


def _of_accounts(place: Place) -> dict[str, Callable[[], Any]]:
    """Every act on accounts, keys and links, ready to be done."""
    people = place.sign_off.people
    ann = principal(people, "ann", "Ann Lee", Role.DATA_SCIENCE)
    principal(people, "bob", "Bob Ray", Role.PRODUCT)
    key, _ = people.issue_key("ann", scopes=[Permission.VIEW], by=ann)
    people.disable("bob", by=ann)
    people.change("bob", enable=True, by=ann)
    invited(people, "cy", "Cy Fox", Role.RISK)
    token = people.reset("bob", by=ann)
    return {
        "invite": lambda: people.invite("eve", name="Eve Ash", roles=[Role.RISK], by=ann),
        "reset": lambda: people.reset("bob", by=ann),
        "redeem": lambda: people.links.redeem(token, PASSWORD + " again"),
        "confirm": lambda: people.links.confirm("cy", by=None),
        "change": lambda: people.change("bob", roles=[Role.RISK], by=ann),
        "disable": lambda: people.disable("bob", by=ann),
        "password": lambda: people.change_password("ann", PASSWORD + " again", by=ann),
        "key": lambda: people.issue_key("ann", scopes=[Permission.VIEW], by=ann),
        "revoke": lambda: people.revoke_key(key.id, by=ann),
    }


def _of_releases(place: Place) -> dict[str, Callable[[], Any]]:
    new = version("new", number=6, registered_by="ci")
    add = place.desk.comments.add
    return {
        **{name: (lambda act=act: act(place, place.seen())) for name, act in ACTS.items()},
        "register": lambda: place.desk.register(new, actor="ci"),
        "record": lambda: place.desk.record(V[5], [evidence(V[5].id, minutes=9)], actor="ci"),
        "comment": lambda: add(V[5], kind=CommentKind.COMMENT, name="Cy", text="Well.", by=None),
    }


ALL = [
    *(("releases", name) for name in (*ACTS, "register", "record", "comment")),
    *(("accounts", name) for name in
      ("invite", "reset", "redeem", "confirm", "change", "disable", "password", "key", "revoke")),
]  # fmt: skip


@pytest.mark.parametrize(("area", "act"), ALL, ids=[name for _, name in ALL])
def test_an_act_that_the_audit_cannot_take_has_not_happened(
    place: Place, area: str, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = (_of_releases if area == "releases" else _of_accounts)(place)
    assert {name for where, name in ALL if where == area} == set(acts), "every act is tried"

    def kept() -> Any:
        stores = (place.ledger, place.sign_off.people._directory)
        plain = [{k: v for k, v in vars(one).items() if isinstance(v, (dict, list))} for one in stores]
        return copy.deepcopy((plain, place.published))

    before = kept()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    for one in (place.audit, place.sign_off.people._audit):
        monkeypatch.setattr(one._ledger, "append_event", full)
    with pytest.raises(OSError, match="No space"):
        acts[act]()
    assert kept() == before


def test_a_first_account_that_the_audit_cannot_take_is_not_made(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    people = place.sign_off.people

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(people._audit._ledger, "append_event", full)
    with pytest.raises(OSError, match="No space"):
        people.add("ann", name="Ann Lee", roles=[Role.RISK], password=PASSWORD)
    assert people.accounts() == ()


def test_sessions_of_a_disabled_account_open_nothing_even_where_they_were_left(place: Place) -> None:
    """The account is asked at each request, whatever became of its sessions."""
    people = place.sign_off.people
    ann = principal(people, "ann", "Ann Lee", Role.DATA_SCIENCE)
    bob = principal(people, "bob", "Bob Ray", Role.PRODUCT)
    token = people.open_session(bob)
    sessions = dict(people._directory._sessions)
    people.disable("bob", by=ann)
    people._directory._sessions.update(sessions)
    assert people.by_session(token) is None
    assert signed_in(people.accounts()[1]).permissions == frozenset()


def test_states_after_all_of_that(place: Place) -> None:
    assert [place.ledger.state(V[n].id) for n in (1, 4, 5)] == [State.RETIRED, State.CHAMPION, State.APPROVED]
