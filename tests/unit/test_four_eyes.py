"""Nobody agrees in two names: every way an administrator could come to act as two signers ends in a refusal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from builders.domain import NOON, contract, evidence, version
from builders.keys import signer
from builders.people import PASSWORD, invited, no_effects, principal, sign_off, signed_in
from modelmark.domain.errors import ModelmarkError, NotPermitted
from modelmark.domain.people import UNKNOWN, Permission, Person, Principal, Role
from modelmark.domain.release import CommentKind, State, WaiverRequest
from modelmark.domain.version import Version
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.releases import Releases
from modelmark.testing.ledger import MemoryLedger

pytestmark = pytest.mark.usefixtures("quick_hashes")
NEW = "a password ada knows"
ADA = Person(role=Role.ENGINEERING, name="Ada King", signs=True)
BOB = Person(role=Role.PRODUCT, name="Bob Ray", signs=True)
CY = Person(role=Role.RISK, name="Cy Fox", signs=True)
DEE, EVE = (Person(role=Role.RISK, name=name, signs=True) for name in ("Dee Orr", "Eve Ash"))


class House:
    """Ada administers and registers; Bob and Cy sign. The set-up is over: Ada has registered a version."""

    def __init__(self, *signers: Person) -> None:
        self.now = NOON
        self.ledger = MemoryLedger()
        self.sign_off = sign_off(self.ledger, self.clock)
        self.people: People = self.sign_off.people
        self.signers = signers or (BOB, CY)
        self.desk = Releases(
            self.ledger, Audit(self.ledger, self.clock, signer), self.clock,
            contract_of=lambda _: contract(people=self.signers), required=lambda _: ["holdout"],
            effects=no_effects(), sign_off=self.sign_off,
        )  # fmt: skip
        self.ada = principal(self.people, "ada", "Ada King", Role.ENGINEERING)
        self.bob = principal(self.people, "bob", "Bob Ray", Role.PRODUCT)
        self.cy = principal(self.people, "cy", "Cy Fox", Role.RISK, Role.OPERATIONS)
        self.own = self.registered(version("own", registered_by="ada"), self.ada)

    def clock(self) -> datetime:
        return self.now

    def registered(self, one: Version, by: Principal, *, measured: float = 0.9) -> Version:
        self.desk.register(one, actor=by.login, by=by)
        self.desk.record(one, [evidence(one.id, measured=measured)], actor=by.login, by=by)
        return one

    def approve(self, who: Principal, person: Person, of: Version | None = None) -> None:
        self.desk.approve(
            of or self.own, role=person.role, name=person.name, comment="", actor=who.login if who else "ada", by=who
        )  # fmt: skip

    def waive(self, who: Principal, person: Person, of: Version) -> None:
        excuse = WaiverRequest(gate="holdout", reason="pilot", expires_at=self.now + timedelta(days=9))
        self.desk.waive(of, excuse, role=person.role, name=person.name, actor=who.login if who else "ada", by=who)

    def key(self, of: Principal, *scopes: Permission) -> Principal:
        return self.people.by_key(self.people.issue_key(of.login, scopes=scopes, by=of)[1])

    def taken(self, login: str) -> Principal:
        """Ada resets somebody's password and redeems the link herself."""
        self.people.links.redeem(self.people.reset(login, by=self.ada), NEW)
        return self.people.by_password(login, NEW)


def _issues_their_key(house: House, login: str) -> Principal:
    return house.people.by_key(house.people.issue_key(login, scopes=[Permission.APPROVE], by=house.ada)[1])


def _issues_their_key_by_her_own(house: House, login: str) -> Principal:
    key = house.key(house.ada, Permission.ADMINISTER)
    return house.people.by_key(house.people.issue_key(login, scopes=[Permission.APPROVE], by=key)[1])


def _chooses_their_password(house: House, login: str) -> Principal:
    house.people.change_password(login, NEW, by=house.ada)
    return house.people.by_password(login, NEW)


def _chooses_their_password_by_key(house: House, login: str) -> Principal:
    house.people.change_password(login, NEW, by=house.key(house.ada, Permission.ADMINISTER))
    return house.people.by_password(login, NEW)


def _redeems_their_link(house: House, login: str) -> Principal:
    return house.taken(login)


def _redeems_their_link_and_opens_a_session(house: House, login: str) -> Principal:
    found = house.people.by_session(house.people.open_session(house.taken(login)))
    assert found is not None
    return found


def _redeems_their_link_and_makes_a_key(house: House, login: str) -> Principal:
    return house.key(house.taken(login), Permission.APPROVE, Permission.WAIVE)


def _redeems_their_link_and_changes_the_password_as_them(house: House, login: str) -> Principal:
    house.people.change_password(login, NEW + " again", by=house.taken(login))
    return house.people.by_password(login, NEW + " again")


def _resets_by_key(house: House, login: str) -> Principal:
    token = house.people.reset(login, by=house.key(house.ada, Permission.ADMINISTER))
    house.people.links.redeem(token, NEW)
    return house.people.by_password(login, NEW)


def _confirms_herself(house: House, login: str) -> Principal:
    house.taken(login)
    return signed_in(house.people.links.confirm(login, by=house.ada))


def _confirms_by_her_key(house: House, login: str) -> Principal:
    house.taken(login)
    return signed_in(house.people.links.confirm(login, by=house.key(house.ada, Permission.ADMINISTER)))


def _confirms_as_them(house: House, login: str) -> Principal:
    taken = house.taken(login)
    return signed_in(house.people.links.confirm(login, by=taken))


def _has_each_confirm_the_other(house: House, login: str) -> Principal:
    taken = {name: house.taken(name) for name in ("bob", "cy")}
    return signed_in(house.people.links.confirm(login, by=taken["cy" if login == "bob" else "bob"]))


def _confirms_with_a_principal_of_before(house: House, login: str) -> Principal:
    """Cy's own session was opened before Ada took his account over."""
    before = house.cy if login == "bob" else house.bob
    house.taken(before.login)
    house.taken(login)
    return signed_in(house.people.links.confirm(login, by=before))


def _confirms_as_the_owner(house: House, login: str) -> Principal:
    house.taken(login)
    return signed_in(house.people.links.confirm(login, by=None))


def _confirms_as_an_administrator_she_made(house: House, login: str) -> Principal:
    puppet = signed_in(invited(house.people, "eve", "Eve Ash", Role.ENGINEERING, admin=True))
    house.taken(login)
    return signed_in(house.people.links.confirm(login, by=puppet))


def _resets_as_an_administrator_she_made(house: House, login: str) -> Principal:
    puppet = signed_in(invited(house.people, "eve", "Eve Ash", Role.ENGINEERING, admin=True))
    house.people.links.redeem(house.people.reset(login, by=puppet), NEW)
    return signed_in(house.people.links.confirm(login, by=house.ada))


def _keeps_a_link_until_they_are_confirmed_again(house: House, login: str) -> Principal:
    first = house.people.reset(login, by=house.ada)
    house.people.links.redeem(first, PASSWORD + " of mine")
    kept = house.people.reset(login, by=house.ada)
    house.people.links.confirm(login, by=house.cy if login == "bob" else house.bob)
    house.people.links.redeem(kept, NEW)
    return house.people.by_password(login, NEW)


def _uses_a_link_twice(house: House, login: str) -> Principal:
    token = house.people.reset(login, by=house.ada)
    house.people.links.redeem(token, PASSWORD + " of mine")
    house.people.links.confirm(login, by=house.cy if login == "bob" else house.bob)
    house.people.links.redeem(token, NEW)
    return house.people.by_password(login, NEW)


def _ends_and_reopens_their_account(house: House, login: str) -> Principal:
    house.people.disable(login, by=house.ada)
    house.people.change(login, enable=True, by=house.ada)
    return house.taken(login)


def _makes_an_account_in_their_name(house: House, login: str) -> Principal:
    name = {"bob": "Bob Ray", "cy": "Cy Fox"}[login]
    house.people.disable(login, by=house.ada)
    return signed_in(invited(house.people, f"{login}2", name, Role.PRODUCT, Role.RISK))


def _makes_a_machine_of_their_role(house: House, login: str) -> Principal:
    house.people.invite("m-" + login, name="The " + login, roles=list(Role), machine=True, by=house.ada)
    scopes = [Permission.APPROVE, Permission.WAIVE]
    return house.people.by_key(house.people.issue_key("m-" + login, scopes=scopes, by=house.ada)[1])


def _gives_herself_their_roles(house: House, login: str) -> Principal:
    changed = house.people.change("ada", roles=list(Role), by=house.ada)
    return signed_in(changed)


def _makes_a_first_account_again(house: House, login: str) -> Principal:
    return signed_in(house.people.add("root", name="Bob Ray", roles=list(Role), password=NEW))


def _acts_without_an_account(house: House, login: str) -> Principal:
    return None  # type: ignore[return-value]


def _has_a_key_of_earlier_days(house: House, login: str) -> Principal:
    """It was not recorded then who made a key."""
    directory = house.people._directory
    key, secret = house.people.issue_key(login, scopes=[Permission.APPROVE], by=getattr(house, login))
    directory.put_key(replace(key, issued_by=""))
    return house.people.by_key(secret)


def _knows_a_password_of_earlier_days(house: House, login: str) -> Principal:
    account = next(a for a in house.people.accounts() if a.login == login)
    house.people._directory.put_account(replace(account, issued_by=UNKNOWN, confirmed_by=""))
    return house.people.by_password(login, PASSWORD)


WAYS: list[Callable[[House, str], Principal]] = [
    _issues_their_key, _issues_their_key_by_her_own, _chooses_their_password, _chooses_their_password_by_key,
    _redeems_their_link, _redeems_their_link_and_opens_a_session, _redeems_their_link_and_makes_a_key,
    _redeems_their_link_and_changes_the_password_as_them, _resets_by_key, _confirms_herself, _confirms_by_her_key,
    _confirms_as_them, _has_each_confirm_the_other, _confirms_with_a_principal_of_before, _confirms_as_the_owner,
    _confirms_as_an_administrator_she_made, _resets_as_an_administrator_she_made,
    _keeps_a_link_until_they_are_confirmed_again, _uses_a_link_twice, _ends_and_reopens_their_account,
    _makes_an_account_in_their_name, _makes_a_machine_of_their_role, _gives_herself_their_roles,
    _makes_a_first_account_again, _acts_without_an_account, _has_a_key_of_earlier_days,
    _knows_a_password_of_earlier_days,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
@pytest.mark.parametrize("act", ["approve", "waive"])
def test_an_administrator_never_agrees_as_a_signer(act: str, way: Callable[[House, str], Principal]) -> None:
    for login, person in (("bob", BOB), ("cy", CY)):
        house = House()
        failed = house.registered(version("failed", number=2, registered_by="ada"), house.ada, measured=0.1)
        with pytest.raises(ModelmarkError) as caught:
            who = way(house, login)
            house.approve(who, person) if act == "approve" else house.waive(who, person, failed)
        assert caught.value.code in {
            "NOT_YOURS", "NOT_CONFIRMED", "NOT_ANOTHER", "BAD_SCOPES", "SIGN_IN", "INVITE", "NOT_YOU", "NOT_ALLOWED",
            "NAME_EXISTS", "BAD_LINK",
        }, caught.value.facts()  # fmt: skip
        kept = [*house.ledger.approvals(house.own.id), *house.ledger.waivers(failed.id)]
        assert kept == []
        with pytest.raises(NotPermitted):
            house.desk.release(house.own, actor="ada", by=house.ada)
        assert house.ledger.state(house.own.id) is State.CHECKED


def test_a_signer_whom_she_invents_counts_for_nothing() -> None:
    house = House(DEE, EVE)
    for login, person in (("dee", DEE), ("eve", EVE)):
        puppet = signed_in(invited(house.people, login, person.name, Role.RISK))
        with pytest.raises(NotPermitted) as caught:
            house.approve(puppet, person)
        assert caught.value.code == "NOT_CONFIRMED"
    with pytest.raises(NotPermitted, match="has not approved"):
        house.desk.release(house.own, actor="ada", by=house.ada)


@pytest.mark.parametrize("through", ["a machine's key", "a person she invited", "a key of a person she invited"])
def test_whoever_issued_the_credential_of_a_registration_does_not_approve_it(through: str) -> None:
    house = House(ADA, BOB)
    if through == "a machine's key":
        house.people.invite("ci", name="The pipeline", roles=[Role.ENGINEERING], machine=True, by=house.ada)
        _, secret = house.people.issue_key("ci", scopes=[Permission.VIEW, Permission.REGISTER], by=house.ada)
        maker = house.people.by_key(secret)
    else:
        maker = signed_in(invited(house.people, "eve", "Eve Ash", Role.DATA_SCIENCE))
        if through != "a person she invited":
            maker = house.key(maker, Permission.REGISTER)
    made = house.registered(version("made", number=5, registered_by=maker.login), maker)
    with pytest.raises(NotPermitted) as caught:
        house.approve(house.ada, ADA, made)
    assert caught.value.code == "SELF_APPROVAL"
    failed = house.registered(version("bad", number=6, registered_by=maker.login), maker, measured=0.1)
    with pytest.raises(NotPermitted) as caught:
        house.waive(house.ada, ADA, failed)
    assert caught.value.code == "SELF_APPROVAL"
    house.approve(house.bob, BOB, made)
    assert [a.login for a in house.ledger.approvals(made.id)] == ["bob"]


def test_a_team_of_three_works_and_says_whose_credentials_it_used() -> None:
    house = House(BOB, CY)
    house.people.links.redeem(house.people.reset("bob", by=house.ada), "bob's own new password")
    bob = house.people.by_password("bob", "bob's own new password")
    assert Permission.APPROVE not in bob.permissions
    house.people.links.confirm("bob", by=house.cy)
    bob = house.people.by_password("bob", "bob's own new password")
    house.approve(house.key(bob, Permission.APPROVE), BOB)
    house.approve(house.cy, CY)
    house.desk.release(house.own, actor="ada", by=house.ada)
    by_bob, by_cy = house.ledger.approvals(house.own.id)
    assert by_bob.credential.startswith("by key ")
    assert by_bob.credential.endswith("; credential issued by ada, confirmed by cy")
    assert (by_cy.via, by_cy.issued_by, by_cy.confirmed_by) == ("password", "ada", "the workspace's owner")
    told = [e for e in house.ledger.events() if e.act == "approved"]
    assert [(e.details["via"], e.details["issued_by"]) for e in told] == [(by_bob.via, "ada"), ("password", "ada")]
    assert all("via" in event.details for event in house.ledger.events())


def test_a_redeemed_link_ends_sessions_and_keys_of_before() -> None:
    house = House()
    token = house.people.open_session(house.bob)
    _, secret = house.people.issue_key("bob", scopes=[Permission.APPROVE], by=house.bob)
    house.taken("bob")
    assert house.people.by_session(token) is None
    with pytest.raises(NotPermitted, match="opens nothing"):
        house.people.by_key(secret)


def test_a_link_lives_for_a_day_and_is_kept_as_a_digest() -> None:
    house = House()
    token = house.people.reset("bob", by=house.ada)
    assert token not in repr(vars(house.people._directory)) + repr(house.ledger.events())
    house.now += timedelta(hours=24)
    with pytest.raises(NotPermitted) as caught:
        house.people.links.redeem(token, NEW)
    assert caught.value.code == "BAD_LINK"
    house.now -= timedelta(seconds=1)
    assert house.people.links.redeem(token, NEW).login == "bob"


@pytest.mark.parametrize("lost", ["via", "login"])
def test_an_approval_without_a_known_credential_counts_for_no_release(lost: str) -> None:
    house = House()
    for who, person in ((house.bob, BOB), (house.cy, CY)):
        house.approve(who, person)
    real = list(house.ledger.approvals(house.own.id))
    house.ledger._approvals[:] = [
        house.sign_off.sign_approval(replace(a, **{lost: ""})) if a.login == "cy" else a for a in real
    ]
    assert [p.name for p in house.desk.status(house.own).missing] == ["Cy Fox"]
    with pytest.raises(NotPermitted, match="Cy Fox"):
        house.desk.release(house.own, actor="ada", by=house.ada)


def test_an_administrator_settles_no_request_about_what_she_registered() -> None:
    house = House()
    add = house.desk.comments.add
    asked = add(house.own, kind=CommentKind.CHANGE_REQUEST, name="", text="Why?", by=house.bob)
    for by in (house.ada, house.key(house.ada, Permission.ADMINISTER, Permission.COMMENT)):
        with pytest.raises(NotPermitted) as caught:
            add(house.own, kind=CommentKind.SETTLED, name="", text="Fine.", about=asked.id, by=by)
        assert caught.value.code == "NOT_YOUR_REQUEST"
    assert [r.id for r in house.desk.status(house.own).requests] == [asked.id]
