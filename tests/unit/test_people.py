"""Accounts, keys, sessions: who somebody is and what they may. Default: nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.domain import NOON
from builders.keys import signer
from builders.people import PASSWORD, principal
from modelmark.domain.errors import Conflict, Missing, NotPermitted, Overloaded, Rejected
from modelmark.domain.people import PERMISSIONS, Permission, Role
from modelmark.governance.attempts import OF_A_LOGIN
from modelmark.governance.audit import Audit, verify_chain
from modelmark.governance.people import KEY_DAYS, SESSION, People
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger


class Town:
    """People over in-memory twins, with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOON
        self.ledger = MemoryLedger()
        self.directory = MemoryAccountStore()
        self.people = People(self.directory, Audit(self.ledger, self.clock, signer), self.clock)

    def clock(self) -> datetime:
        return self.now

    def acts(self) -> list[str]:
        return [event.act for event in self.ledger.events()]


@pytest.fixture
def town() -> Town:
    return Town()


def test_until_the_first_account_the_owner_may_everything_and_then_nothing(town: Town) -> None:
    town.people.permit(None, Permission.RELEASE)
    principal(town.people, "ann", "Ann Lee", Role.DATA_SCIENCE)
    for permission in Permission:
        with pytest.raises(NotPermitted) as caught:
            town.people.permit(None, permission)
        assert caught.value.code == "SIGN_IN"


@pytest.mark.parametrize("role", list(Role))
def test_a_role_may_exactly_what_its_line_says(town: Town, role: Role) -> None:
    principal(town.people, "root", "The First", Role.OPERATIONS)
    somebody = principal(town.people, "x", "Some Body", role)
    for permission in PERMISSIONS[role]:
        town.people.permit(somebody, permission)
    for permission in set(Permission) - PERMISSIONS[role]:
        with pytest.raises(NotPermitted) as caught:
            town.people.permit(somebody, permission)
        assert caught.value.code == "NOT_ALLOWED"
    assert Permission.ADMINISTER not in PERMISSIONS[role]


def test_the_first_account_administers_and_the_next_do_not(town: Town) -> None:
    first = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    second = principal(town.people, "bob", "Bob Ray", Role.PRODUCT)
    assert (first.account.admin, second.account.admin) == (True, False)
    for by in (second, None):
        with pytest.raises(NotPermitted):
            town.people.invite("cy", name="Cy Fox", roles=[Role.RISK], by=by)
    with pytest.raises(NotPermitted) as caught:
        town.people.add("cy", name="Cy Fox", roles=[Role.RISK], password=PASSWORD)
    assert caught.value.code == "INVITE"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        pytest.param({"password": "short"}, "WEAK_PASSWORD", id="a short password"),
        pytest.param({"password": "aaaaaaaaaaaaaaaa"}, "WEAK_PASSWORD", id="one letter many times"),
        pytest.param({"password": "x" * 2000}, "WEAK_PASSWORD", id="a password to exhaust the hash"),
        pytest.param({"login": "Bob Ray"}, "BAD_NAME", id="a login with a blank"),
        pytest.param({"login": "../etc"}, "BAD_NAME", id="a login that is a path"),
        pytest.param({"name": " "}, "NO_NAME", id="no name"),
        pytest.param({"name": "Bob\nBcc: all"}, "BAD_NAME", id="a name of two lines"),
        pytest.param({"name": "\u202eyaR boB"}, "BAD_NAME", id="a name turned around"),
        pytest.param({"name": "b" * 5000}, "BAD_NAME", id="a name of 5,000 characters"),
        pytest.param({"email": "a@b\r\nBcc: all"}, "BAD_NAME", id="an address of two lines"),
    ],
)
def test_an_account_is_refused_with(town: Town, given: dict[str, Any], code: str) -> None:
    usual: dict[str, Any] = {"login": "bob", "name": "Bob Ray", "roles": [Role.PRODUCT], "password": PASSWORD}
    values = {**usual, **given}
    with pytest.raises(Rejected) as caught:
        town.people.add(values.pop("login"), **values)
    assert caught.value.code == code
    assert caught.value.field is not None
    assert town.people.accounts() == ()


def test_one_person_has_one_account(town: Town) -> None:
    boss = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    for login, name in (("ann", "Another"), ("ann2", "Ann Lee")):
        with pytest.raises(Conflict):
            town.people.invite(login, name=name, roles=[Role.RISK], by=boss)


def test_passwords_are_kept_as_argon2id_hashes_and_nowhere_else(town: Town) -> None:
    account = principal(town.people, "ann", "Ann Lee", Role.PRODUCT).account
    assert account.password.startswith("$argon2id$")
    assert PASSWORD not in repr(vars(town.directory)) + repr(town.ledger.events())


def test_signing_in_says_the_same_for_a_wrong_password_and_an_unknown_login(town: Town) -> None:
    principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    assert town.people.by_password("ann", PASSWORD).name == "Ann Lee"
    told = []
    for login, password in (("ann", "wrong password"), ("nobody", PASSWORD)):
        with pytest.raises(NotPermitted) as caught:
            town.people.by_password(login, password)
        told.append(caught.value.facts())
    assert told[0] == told[1]


def test_ten_failures_in_a_minute_close_a_login_for_a_minute(town: Town) -> None:
    principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    for _ in range(OF_A_LOGIN):
        with pytest.raises(NotPermitted):
            town.people.by_password("ann", "wrong password")
    with pytest.raises(Overloaded):
        town.people.by_password("ann", PASSWORD)
    town.now += timedelta(seconds=61)
    assert town.people.by_password("ann", PASSWORD).login == "ann"


def test_a_session_ends_by_itself_by_signing_out_and_with_its_account(town: Town) -> None:
    boss = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    bob = principal(town.people, "bob", "Bob Ray", Role.RISK)
    first, second, third = (town.people.open_session(bob) for _ in range(3))
    assert town.people.by_session(first).login == "bob"  # type: ignore[union-attr]
    town.people.close_session(first)
    assert town.people.by_session(first) is None
    assert town.people.by_session(second) is not None
    town.people.disable("bob", by=boss)
    assert town.people.by_session(second) is None
    own = town.people.open_session(boss)
    town.now += SESSION
    assert town.people.by_session(own) is None
    assert third not in repr(vars(town.directory)), "only digests are kept"


def test_a_key_may_what_its_scopes_say_until_it_ends(town: Town) -> None:
    ann = principal(town.people, "ann", "Ann Lee", Role.OPERATIONS)
    key, secret = town.people.issue_key("ann", scopes=[Permission.RELEASE], by=ann)
    found = town.people.by_key(secret)
    assert (found.login, found.permissions) == ("ann", {Permission.RELEASE})
    with pytest.raises(NotPermitted):
        town.people.permit(found, Permission.APPROVE)
    assert secret not in repr(vars(town.directory)) + repr(town.ledger.events())
    town.now += timedelta(days=KEY_DAYS)
    with pytest.raises(NotPermitted, match="opens nothing"):
        town.people.by_key(secret)
    assert key.id


@pytest.mark.parametrize("end", ["revoke", "disable", "wrong"])
def test_a_key_opens_nothing_after(town: Town, end: str) -> None:
    boss = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    bob = principal(town.people, "bob", "Bob Ray", Role.RISK)
    key, secret = town.people.issue_key("bob", scopes=[Permission.APPROVE], by=bob)
    if end == "revoke":
        town.people.revoke_key(key.id, by=bob)
    elif end == "disable":
        town.people.disable("bob", by=boss)
    else:
        secret = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    with pytest.raises(NotPermitted) as caught:
        town.people.by_key(secret)
    assert caught.value.code == "BAD_KEY"


def test_lives_are_twelve_hours_for_a_session_and_ninety_days_for_a_key(town: Town) -> None:
    ann = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    token = town.people.open_session(ann)
    _, secret = town.people.issue_key("ann", scopes=[Permission.VIEW], by=ann)
    town.now = NOON + timedelta(hours=11, minutes=59)
    assert town.people.by_session(token) is not None
    town.now = NOON + timedelta(hours=12)
    assert town.people.by_session(token) is None
    town.now = NOON + timedelta(days=89, hours=23)
    assert town.people.by_key(secret).login == "ann"
    town.now = NOON + timedelta(days=90)
    with pytest.raises(NotPermitted):
        town.people.by_key(secret)


@pytest.mark.parametrize("scope", [Permission.VIEW, Permission.REGISTER, Permission.RELEASE])
def test_an_administrator_makes_no_key_of_a_person_whatever_it_may(town: Town, scope: Permission) -> None:
    ann = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    principal(town.people, "bob", "Bob Ray", Role.ENGINEERING)
    with pytest.raises(NotPermitted) as caught:
        town.people.issue_key("bob", scopes=[scope], by=ann)
    assert caught.value.code == "NOT_YOURS"
    assert town.people.keys() == ()


def test_a_key_never_holds_more_than_its_account(town: Town) -> None:
    principal(town.people, "ann", "Ann Lee", Role.OPERATIONS)
    bob = principal(town.people, "bob", "Bob Ray", Role.RISK)
    for scopes in ([Permission.RELEASE], [Permission.VIEW, Permission.ADMINISTER], []):
        with pytest.raises(Rejected) as caught:
            town.people.issue_key("bob", scopes=scopes, by=bob)
        assert caught.value.code == "BAD_SCOPES"
    with pytest.raises(NotPermitted):
        town.people.issue_key("ann", scopes=[Permission.VIEW], by=bob)


def test_the_last_administrator_stays(town: Town) -> None:
    boss = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    with pytest.raises(NotPermitted) as caught:
        town.people.disable("ann", by=boss)
    assert caught.value.code == "LAST_ADMIN"
    with pytest.raises(Missing):
        town.people.disable("nobody", by=boss)


def test_a_changed_password_ends_the_sessions(town: Town) -> None:
    principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    bob = principal(town.people, "bob", "Bob Ray", Role.RISK)
    token = town.people.open_session(bob)
    town.people.change_password("bob", "another long secret", by=bob)
    assert town.people.by_session(token) is None
    assert town.people.by_password("bob", "another long secret").login == "bob"
    with pytest.raises(NotPermitted):
        town.people.change_password("ann", "another long secret", by=bob)


def test_every_change_of_accounts_is_an_act_in_the_chain(town: Town) -> None:
    boss = principal(town.people, "ann", "Ann Lee", Role.PRODUCT)
    bob = principal(town.people, "bob", "Bob Ray", Role.RISK)
    key, _ = town.people.issue_key("bob", scopes=[Permission.VIEW], by=bob)
    town.people.revoke_key(key.id, by=boss)
    town.people.change_password("bob", "another long secret", by=bob)
    town.people.disable("bob", by=boss)
    assert town.acts() == [
        "added account", "added account", "redeemed link", "confirmed account", "issued key", "revoked key",
        "changed password", "disabled account",
    ]  # fmt: skip
    assert verify_chain(town.ledger.events()) == 8


def test_a_key_is_less_than_its_account_and_makes_nothing_more_of_itself(town: Town) -> None:
    root = principal(town.people, "root", "The First", Role.OPERATIONS)
    _, secret = town.people.issue_key("root", scopes=[Permission.VIEW], days=1, by=root)
    key = town.people.by_key(secret)
    with pytest.raises(NotPermitted) as caught:
        town.people.issue_key("root", scopes=[Permission.RELEASE], days=366, by=key)
    assert caught.value.code == "NOT_ALLOWED"
    with pytest.raises(NotPermitted) as caught:
        town.people.change_password("root", "another long enough secret", by=key)
    assert caught.value.code == "NOT_YOURS"
    town.people.by_password("root", PASSWORD)
    for days in (0, 367):
        with pytest.raises(Rejected, match="outside its range"):
            town.people.issue_key("root", scopes=[Permission.VIEW], days=days, by=root)
    for days in (1, 366):
        town.people.issue_key("root", scopes=[Permission.VIEW], days=days, by=root)
    _, secret = town.people.issue_key("root", scopes=[Permission.ADMINISTER], by=root)
    with pytest.raises(Rejected) as refused:
        town.people.issue_key("root", scopes=[Permission.RELEASE], by=town.people.by_key(secret))
    assert (refused.value.code, refused.value.limit) == ("BAD_SCOPES", "nothing")


def test_a_machine_is_not_told_that_a_person_could_confirm_it(town: Town) -> None:
    root = principal(town.people, "root", "The First", Role.OPERATIONS)
    town.people.invite("ci", name="The pipeline", roles=[Role.ENGINEERING], machine=True, by=root)
    _, secret = town.people.issue_key("ci", scopes=[Permission.REGISTER], by=root)
    with pytest.raises(NotPermitted) as caught:
        town.people.permit(town.people.by_key(secret), Permission.APPROVE)
    assert (caught.value.code, caught.value.hint) == ("NOT_ALLOWED", None)


def test_an_administrator_gives_other_roles_and_opens_an_account_again(town: Town) -> None:
    root = principal(town.people, "root", "The First", Role.OPERATIONS)
    bob = principal(town.people, "bob", "Bob Ray", Role.PRODUCT)
    with pytest.raises(NotPermitted) as caught:
        town.people.change("bob", admin=True, by=bob)
    assert caught.value.code == "NOT_ALLOWED"
    with pytest.raises(NotPermitted) as caught:
        town.people.change("root", admin=False, by=root)
    assert caught.value.code == "LAST_ADMIN"
    town.people.disable("bob", by=root)
    changed = town.people.change("bob", roles=[Role.RISK], admin=True, enable=True, by=root)
    assert (changed.roles, changed.admin, changed.disabled_at) == ((Role.RISK,), True, None)
    assert town.people.by_password("bob", PASSWORD).may(Permission.ADMINISTER)
    town.people.change("root", admin=False, by=town.people.by_password("bob", PASSWORD))
    assert town.acts()[-1] == "changed account"
    assert verify_chain(town.ledger.events()) == len(town.acts())
