"""The same promises on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from builders.domain import NOON, approval, digest, evidence, finding, version
from modelmark.domain.audit import Event
from modelmark.domain.errors import Conflict, Missing, Rejected
from modelmark.domain.evidence import Verdict
from modelmark.domain.people import Account, ApiKey, Permission, Role, Session
from modelmark.domain.ports import Delivery, Message, MonitoringStore
from modelmark.domain.release import Comment, CommentKind, State, Waiver
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.domain.version_record import VersionRecord
from modelmark.storage import database as module
from modelmark.storage import ledger as storage_ledger
from modelmark.storage.account_store import SqlAccountStore
from modelmark.storage.database import HEAD, Database
from modelmark.storage.ledger import SqlLedger
from modelmark.storage.monitoring_store import SqlMonitoringStore
from modelmark.storage.tables import metadata
from modelmark.testing.account_store import MemoryAccountStore
from modelmark.testing.ledger import MemoryLedger
from modelmark.testing.monitoring_store import MemoryMonitoringStore


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(params=["sql", "in memory"])
def book(request: pytest.FixtureRequest, database: Database) -> MonitoringStore:
    return SqlMonitoringStore(database) if request.param == "sql" else MemoryMonitoringStore()


def test_migrations_lead_to_exactly_the_declared_tables(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, metadata) == []
    config = Config()
    config.set_main_option("script_location", module.__file__.replace("database.py", "migrations"))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_opening_again_keeps_what_is_there(database_url: str) -> None:
    first = Database(database_url)
    SqlLedger(first).add_version(version())
    first.close()
    second = Database(database_url)
    assert SqlLedger(second).versions() == [version()]
    second.close()


def test_everything_a_ledger_is_told_comes_back_equal(database: Database) -> None:
    ledger, one = SqlLedger(database), version()
    ledger.add_version(one)
    seen = evidence(one.id, measured=float("nan"))
    ledger.add_evidence(seen)
    given = approval(one, digest("evidence"))
    ledger.add_approval(given)
    waived = Waiver(version=one.id, gate="load", name="Ann", reason="r", expires_at=NOON + timedelta(days=1), at=NOON)
    ledger.add_waiver(waived)
    shot = Snapshot(
        sequence=1,
        issued_at=NOON,
        routes=(Route(model="loans", arms=(Arm(version=one.id, name="champion", weight=1.0),), previous=None),),
    )
    ledger.set_snapshot(shot)
    assert ledger.version(one.id) == one
    assert ledger.versions("loans") == [one]
    assert ledger.versions("other") == []
    (found,) = ledger.evidence(one.id)
    assert found.checks[0].measured is None  # not a number is kept as "could not measure"
    assert found.verdict is Verdict.CANNOT_TELL
    assert ledger.approvals(one.id) == [given]
    assert ledger.waivers(one.id) == [waived]
    assert ledger.snapshot() == shot


def test_what_is_known_of_many_versions_is_read_at_once_as_it_is_one_by_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage_ledger, "_TOGETHER", 2)
    ids = []
    for ledger in (SqlLedger(database), MemoryLedger()):
        for number in (1, 2, 3):
            one = version(f"v{number}", number=number)
            ledger.add_version(one)
            for gate in ("load", "holdout")[: number - 1]:
                ledger.add_evidence(evidence(one.id, gate=gate))
            ledger.add_approval(approval(one, digest(f"evidence {number}")))
            said = Comment(id=f"c{number}", version=one.id, evidence=digest("e"), kind=CommentKind.COMMENT, name="Ann",
                           login="ann", text="?", at=NOON)  # fmt: skip
            ledger.add_comment(said)
            ids.append(one.id)
        ledger.set_state(ids[0], State.CHECKED, expected=State.REGISTERED)
        found = ledger.records(ids[:3])
        assert list(found) == ids[:3]
        for id, record in found.items():
            assert record == VersionRecord(
                version=ledger.version(id), state=ledger.state(id), evidence=ledger.evidence(id),
                approvals=ledger.approvals(id), waivers=ledger.waivers(id), comments=ledger.comments(id),
            )  # fmt: skip
        assert [len(record.evidence) for record in found.values()] == [0, 1, 2]
        with pytest.raises(Missing, match="no version"):
            ledger.records([ids[0], digest("nobody")])


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    ledger = SqlLedger(database)
    with pytest.raises(Conflict), ledger.transaction():
        ledger.add_version(version())
        ledger.add_version(version())
    assert ledger.versions() == []


def test_of_many_racers_for_one_state_exactly_one_wins(database: Database) -> None:
    ledger, one = SqlLedger(database), version()
    ledger.add_version(one)
    outcomes: list[str] = []

    def race() -> None:
        try:
            with ledger.transaction():
                ledger.set_state(one.id, State.CHECKED, expected=State.REGISTERED)
            outcomes.append("won")
        except Conflict:
            outcomes.append("lost")

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["lost"] * 7 + ["won"]
    assert ledger.state(one.id) is State.CHECKED


def test_an_event_number_is_given_once(database: Database) -> None:
    ledger = SqlLedger(database)
    event = Event(sequence=1, at=NOON, actor="a", act="b", subject="c", details={"n": 1}, previous="", hash="h")
    ledger.append_event(event)
    with pytest.raises(Conflict):
        ledger.append_event(event)
    assert ledger.last_event() == event
    assert ledger.events(after=1) == []


def test_an_unknown_version_is_missing(database: Database) -> None:
    with pytest.raises(Missing):
        SqlLedger(database).state(digest("nobody"))


def test_checkpoints_and_profiles_replace_what_stood_there(book: MonitoringStore) -> None:
    assert book.checkpoint("look") == {}
    book.set_checkpoint("look", {"n": 1})
    book.set_checkpoint("look", {"n": 2})
    assert book.checkpoint("look") == {"n": 2}
    for counts in (b"1", b"2"):
        book.add_profile("loans", "v", NOON, "age", counts)
    book.add_profile("loans", "v", NOON + timedelta(hours=1), "age", b"3")
    assert list(book.profiles("loans", "v", NOON, NOON + timedelta(hours=1))) == [(NOON, "age", b"2")]
    book.add_profile("loans", "v", NOON, "pay", b"4")
    both = list(book.profiles("loans", "v", NOON, NOON + timedelta(hours=1)))
    assert both == [(NOON, "age", b"2"), (NOON, "pay", b"4")]
    one = book.profiles("loans", "v", NOON, NOON + timedelta(hours=1), column="pay")
    assert list(one) == [(NOON, "pay", b"4")]


def test_one_story_is_one_alert_until_it_closes(book: MonitoringStore) -> None:
    story = finding()
    first, new = book.open_alert(story, NOON)
    again, newer = book.open_alert(finding(sentence="more"), NOON + timedelta(minutes=5))
    assert (new, newer) == (True, False)
    assert (again.id, again.count, again.sentence) == (first.id, 2, "more")
    book.close_alert(first.id, NOON + timedelta(minutes=6))
    later, new = book.open_alert(story, NOON + timedelta(minutes=7))
    assert new
    assert later.id != first.id
    assert [alert.id for alert in book.alerts(open_only=True)] == [later.id]
    assert len(book.alerts(model="loans")) == 2


def test_the_same_finding_twice_is_kept_once(book: MonitoringStore) -> None:
    book.add_findings([finding(), finding(sentence="now known better")])
    (kept,) = book.findings("loans")
    assert kept == finding(sentence="now known better")
    assert book.findings("loans", monitor="quality") == []
    assert book.findings("loans", start=NOON + timedelta(hours=1)) == []
    assert book.findings("loans", version=finding().version) == [kept]
    assert book.findings("loans", version=digest("another")) == []


def test_a_message_waits_until_it_is_sent(book: MonitoringStore) -> None:
    for _ in range(2):
        book.queue_message("k", "title", "body", NOON, audience="risk")
    assert book.due_messages(NOON) == [Message(key="k", title="title", body="body", tries=0, audience="risk")]
    book.message_failed("k", NOON, NOON + timedelta(minutes=1), "refused")
    assert book.due_messages(NOON) == []
    assert book.due_messages(NOON + timedelta(minutes=1)) == [
        Message(key="k", title="title", body="body", tries=1, audience="risk")
    ]
    book.queue_message("other", "title", "body", NOON)
    assert book.deliveries("k") == [Delivery(key="k", audience="risk", sent_at=None)]
    book.message_sent("k", NOON)
    assert [message.key for message in book.due_messages(NOON + timedelta(days=1))] == ["other"]
    assert book.deliveries("k") == [Delivery(key="k", audience="risk", sent_at=NOON)]
    assert book.deliveries("%") == [], "what begins so, not a pattern"


def test_an_act_on_the_watchbook_that_fails_leaves_nothing(book: MonitoringStore) -> None:
    with pytest.raises(ZeroDivisionError), book.transaction():
        book.set_checkpoint("look", {"n": 1})
        book.add_findings([finding()])
        book.open_alert(finding(), NOON)
        raise ZeroDivisionError
    assert (book.checkpoint("look"), book.findings("loans"), book.alerts()) == ({}, [], [])


def test_a_database_of_no_known_kind_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        Database("mysql://localhost/x")
    assert caught.value.code == "BAD_DATABASE_URL"


def test_a_ticket_is_used_once_whoever_comes_first(database: Database) -> None:
    ledger = SqlLedger(database)
    one = replace(approval(version(), digest("seen")), nonce="n1")
    ledger.add_approval(one)
    with pytest.raises(Conflict) as caught:
        ledger.add_approval(replace(one, name="Somebody Else"))
    assert caught.value.code == "NONCE_USED"
    ledger.add_approval(replace(one, nonce=""))
    ledger.add_approval(replace(one, nonce=""))
    assert len(ledger.approvals(version().id)) == 3, "approvals from before tickets have none"


def test_comments_are_kept_in_order(database: Database) -> None:
    ledger = SqlLedger(database)
    said = [
        Comment(
            id=f"r{i}", version=version().id, evidence=digest("seen"), kind=CommentKind.COMMENT, name="Cy Fox", login="cy",
            text=f"comment {i}", at=NOON + timedelta(minutes=i),
        )
        for i in (2, 0, 1)
    ]  # fmt: skip
    for comment in said:
        ledger.add_comment(comment)
    assert [r.id for r in ledger.comments(version().id)] == ["r0", "r1", "r2"]
    assert ledger.comments(digest("other")) == []


@pytest.mark.parametrize("twin", [False, True], ids=["sql", "in memory"])
def test_a_directory_keeps_accounts_keys_sessions_and_failures(database: Database, twin: bool) -> None:
    book: Any = MemoryAccountStore() if twin else SqlAccountStore(database)
    ann = Account(
        login="ann", name="Ann Lee", roles=(Role.RISK,), admin=True, email="", password="$hash", created_at=NOON
    )
    book.put_account(ann)
    book.put_account(replace(ann, login="bob", name="Bob Ray"))
    book.put_account(replace(ann, disabled_at=NOON))
    assert [(a.login, a.disabled_at) for a in book.accounts()] == [("ann", NOON), ("bob", None)]
    assert (book.account("ann").name, book.account("nobody")) == ("Ann Lee", None)
    key = ApiKey(id="k1", login="ann", digest="d" * 64, scopes=(Permission.VIEW,), created_at=NOON, expires_at=NOON)
    book.put_key(key)
    book.put_key(replace(key, revoked_at=NOON))
    assert (book.key("d" * 64).revoked_at, book.key("e" * 64), book.api_keys("bob")) == (NOON, None, [])
    assert [k.id for k in book.api_keys()] == ["k1"]
    for digest_, login in (("s1", "ann"), ("s2", "ann"), ("s3", "bob")):
        book.add_session(Session(digest=digest_, login=login, created_at=NOON, expires_at=NOON))
    book.end_sessions(digest="s1")
    assert [book.session(d) is not None for d in ("s1", "s2", "s3")] == [False, True, True]
    book.end_sessions(login="ann")
    assert [book.session(d) is not None for d in ("s1", "s2", "s3")] == [False, False, True]
    for minute in range(3):
        book.note_failure("ann", NOON + timedelta(minutes=minute))
    assert (book.failures("ann", NOON + timedelta(minutes=1)), book.failures("bob", NOON)) == (2, 0)
    with pytest.raises(ZeroDivisionError), book.transaction():
        book.put_account(replace(ann, login="lost"))
        raise ZeroDivisionError
    assert book.account("lost") is None
