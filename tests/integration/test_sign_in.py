"""Signing in: how often it may be tried, what it costs, and what the audit tells of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from builders.domain import NOON
from builders.people import PASSWORD, principal
from modelmark.app.control_plane import ControlPlane
from modelmark.domain.audit import Act, Event
from modelmark.domain.errors import ModelmarkError, NotPermitted, Overloaded
from modelmark.domain.people import Role
from modelmark.governance.attempts import COMMAND_LINE, OF_A_LOGIN, OF_A_SOURCE
from modelmark.governance.audit import verify_chain
from modelmark.governance.people import People
from modelmark.seal import passwords

HOME = "http://127.0.0.1:8081"


class Cheap:
    """Stands for the hasher and counts: what a test of limits needs is how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.inside, self.most = 0, 0, 0
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()

    def hash(self, password: str) -> str:
        return f"hash of {password}"

    def verify(self, hashed: str, password: str) -> bool:
        with self.lock:
            self.asked += 1
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.go.wait(20)
        with self.lock:
            self.inside -= 1
        if hashed != self.hash(password):
            raise passwords.VerificationError
        return True


class Town:
    def __init__(self, root: Path) -> None:
        self.now = NOON
        self.app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=root, clock=lambda: self.now)
        self.people: People = self.app.people
        principal(self.people, "ann", "Ann Lee", Role.RISK)
        principal(self.people, "bob", "Bob Ray", Role.RISK)

    def events(self, *acts: Act) -> list[Event]:
        return [event for event in self.app.ledger.events() if event.act in acts]

    def tries(self, login: str, password: str = "wrong password", source: str = "10.0.0.1") -> str:
        """`in`, or the code it was refused with."""
        try:
            self.people.by_password(login, password, source=source)
        except ModelmarkError as error:
            return error.code
        return "in"


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> Cheap:
    found = Cheap()
    monkeypatch.setattr(passwords, "_hasher", found)
    passwords._nobody.cache_clear()
    monkeypatch.setattr(passwords, "_nobody", lambda: "hash of nothing that anybody types")
    return found


@pytest.fixture
def town(tmp_path: Path, cheap: Cheap) -> Iterator[Town]:
    built = Town(tmp_path)
    yield built
    built.app.database.close()


def test_forty_wrong_passwords_at_once_are_ten_tries(town: Town, cheap: Cheap) -> None:
    with ThreadPoolExecutor(40) as pool:
        ends = list(pool.map(lambda _: town.tries("ann"), range(40)))
    assert sorted(ends) == ["BAD_LOGIN"] * OF_A_LOGIN + ["OVERLOADED"] * 30
    assert cheap.asked == OF_A_LOGIN, "what is refused was not tried"


def test_forty_logins_at_once_from_one_source_are_bounded_too(town: Town, cheap: Cheap) -> None:
    with ThreadPoolExecutor(20) as pool:
        ends = list(pool.map(lambda i: town.tries(f"login{i}"), range(2 * OF_A_SOURCE)))
    assert (ends.count("BAD_LOGIN"), cheap.asked) == (OF_A_SOURCE, OF_A_SOURCE)


def test_two_passwords_at_most_are_looked_at_at_once(town: Town, cheap: Cheap) -> None:
    cheap.go.clear()
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(town.tries, f"login{i}") for i in range(8)]
        while cheap.inside < 2:
            threading.Event().wait(0.001)
        threading.Event().wait(0.2)  # a third would come in now
        cheap.go.set()
        assert [one.result(20) for one in waiting] == ["BAD_LOGIN"] * 8
    assert cheap.most == 2


def test_whoever_finds_no_slot_is_told_to_come_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAIT", 0.01)
    with passwords._slot(), passwords._slot():
        for act in (lambda: town.people.by_password("ann", PASSWORD), lambda: passwords.hash_password("x" * 12)):
            with pytest.raises(Overloaded):
                act()
    assert town.tries("ann", PASSWORD) == "in"


def test_nobody_is_locked_out_from_elsewhere(town: Town) -> None:
    session = town.people.open_session(town.people.by_password("ann", PASSWORD, source="10.0.0.2"))
    for _ in range(2 * OF_A_LOGIN):
        town.tries("ann", source="10.0.0.1")
    assert town.tries("ann", PASSWORD, source="10.0.0.1") == "OVERLOADED"
    assert town.tries("ann", PASSWORD, source="10.0.0.2") == "in"
    assert town.tries("ann", PASSWORD, source=COMMAND_LINE) == "in", "the owner's way in"
    assert town.tries("bob", PASSWORD, source="10.0.0.1") == "in", "another login from there"
    assert town.people.by_session(session) is not None
    town.now += timedelta(seconds=61)
    assert town.tries("ann", PASSWORD, source="10.0.0.1") == "in"


def test_signing_in_well_counts_for_nothing(town: Town) -> None:
    for _ in range(OF_A_SOURCE + 5):
        town.now += timedelta(milliseconds=1)
        assert town.tries("ann", PASSWORD) == "in"


def test_an_unknown_login_is_as_much_work_as_a_known_one(town: Town, cheap: Cheap) -> None:
    asked = []
    for login in ("ann", "nobody", "x" * 5000):
        before = cheap.asked
        assert town.tries(login) == "BAD_LOGIN"
        asked.append(cheap.asked - before)
    assert asked == [1, 1, 1]


def said(event: Event) -> dict[str, object]:
    """An event's details without the rows that its act wrote."""
    return {name: value for name, value in event.details.items() if name != "rows"}


def test_the_audit_tells_who_came_who_failed_and_who_left(town: Town) -> None:
    people = town.people
    token = people.open_session(people.by_password("ann", PASSWORD, source="10.0.0.2"), source="10.0.0.2")
    town.tries("ann")
    people.close_session(token)
    people.close_session(token)
    (came,) = town.events(Act.SIGNED_IN)
    (failed,) = town.events(Act.FAILED_TO_SIGN_IN)
    (left,) = town.events(Act.SIGNED_OUT)
    assert (came.actor, came.subject, said(came)) == ("ann", "ann", {"source": "10.0.0.2"})
    assert (failed.actor, failed.subject) == ("somebody at 10.0.0.1", "ann")
    assert failed.details == {"failures_in_the_last_hour": 1}
    assert (left.actor, left.subject) == ("ann", "ann")
    assert verify_chain(town.app.ledger.events()) == len(town.app.ledger.events())


def test_no_flood_of_failures_fills_the_chain_and_no_typed_login_enters_it(town: Town) -> None:
    for i in range(OF_A_SOURCE + 20):
        town.tries(f"a password typed into the wrong field {i}")
    assert [event.subject for event in town.events(Act.FAILED_TO_SIGN_IN)] == ["a login of nobody"] * 2
    assert "typed" not in repr(town.app.ledger.events())
    for _ in range(OF_A_LOGIN + 20):
        town.tries("ann", source="10.0.0.3")
    told = [event.details for event in town.events(Act.FAILED_TO_SIGN_IN) if event.subject == "ann"]
    assert told == [{"failures_in_the_last_hour": 1}, {"failures_in_the_last_hour": OF_A_LOGIN}]


def test_pages_say_where_somebody_signs_in_from(tmp_path: Path) -> None:
    app = ControlPlane.open({"MODELMARK_ACTOR": "ci"}, workspace=tmp_path)
    principal(app.people, "ann", "Ann Lee", Role.RISK)
    client = TestClient(app.dashboard(), base_url=HOME, follow_redirects=False, client=("127.0.0.7", 5000))
    forged = {"origin": HOME, "x-forwarded-for": "1.2.3.4", "forwarded": "for=1.2.3.4"}
    assert client.post("/sign-in", data={"login": "ann", "password": "wrong one"}, headers=forged).status_code == 403
    assert client.post("/sign-in", data={"login": "ann", "password": PASSWORD}, headers=forged).status_code == 303
    told = [(e.act, e.actor, said(e)) for e in app.ledger.events() if e.act != Act.ADDED_ACCOUNT]
    assert told == [
        ("failed to sign in", "somebody at 127.0.0.7", {"failures_in_the_last_hour": 1}),
        ("signed in", "ann", {"source": "127.0.0.7"}),
    ]
    app.database.close()


def test_a_disabled_account_is_refused_in_the_same_words(town: Town, cheap: Cheap) -> None:
    boss = town.people.by_password("ann", PASSWORD)
    town.people.disable("bob", by=boss)
    before = cheap.asked
    with pytest.raises(NotPermitted) as caught:
        town.people.by_password("bob", PASSWORD)
    assert (caught.value.code, cheap.asked - before) == ("BAD_LOGIN", 1)
