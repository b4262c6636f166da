"""What was seen fades with age, in SQL and in memory alike; what alerts, what windows need and signed sums do not suffer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.domain import NOON, finding
from builders.keys import signer
from modelmark.domain.finding import Outcome, Window
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.workspace import Workspace
from modelmark.monitors.monitor import REQUESTS
from modelmark.seal.heads import open_head
from modelmark.seal.sums import RowSum
from modelmark.stats.profile import pack, unpack
from modelmark.steward.job import JobContext, Step
from modelmark.steward.jobs.prune import Prune
from modelmark.steward.profiler import Profiler
from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.ledger import SqlLedger
from modelmark.storage.monitoring_store import SqlMonitoringStore
from modelmark.storage.sums import SignedSums
from modelmark.testing.monitoring_store import MemoryMonitoringStore

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(params=["sql", "in memory"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MonitoringStore]:
    if request.param == "in memory":
        yield MemoryMonitoringStore()
        return
    opened = Database(sqlite_url(tmp_path / "state.db"))
    yield SqlMonitoringStore(opened, SignedSums(signer))
    opened.close()


def prune(book: MonitoringStore, now: datetime) -> None:
    profiler = Profiler(Workspace(Path("nowhere")), book)
    Prune(monitoring_store=book, profiler=profiler).run(
        JobContext(now=now, serving=(), report=lambda _: None, step=Step(at=now))
    )


def looks(
    book: MonitoringStore, ends: list[datetime], monitor: str = "drift", alert_at: datetime | None = None
) -> None:
    book.add_findings(
        finding(
            monitor=monitor, subject=f"{monitor}'s", window=Window(start=end - HOUR, end=end),
            outcome=Outcome.ALERT if end == alert_at else Outcome.OK,
        )
        for end in ends
    )  # fmt: skip


def kept(book: MonitoringStore, monitor: str = "drift") -> list[datetime]:
    return sorted(f.window.end for f in book.findings("loans", monitor=monitor, limit=100_000))


def test_looks_stay_whole_for_a_while_then_one_an_hour_then_one_a_day_and_none_after_a_quarter(
    book: MonitoringStore,
) -> None:
    now = NOON
    looks(book, [now - k * MINUTE for k in range(300)])
    looks(book, [now - 3 * DAY - k * HOUR for k in range(48)])
    looks(book, [now - 91 * DAY])
    prune(book, now)
    times = kept(book)
    assert [at for at in times if at >= now - 15 * MINUTE] == [now - k * MINUTE for k in range(15, -1, -1)]
    hours = [at for at in times if now - 5 * HOUR <= at < now - 15 * MINUTE]
    assert [at.hour for at in hours] == [7, 8, 9, 10, 11]
    assert [at.minute for at in hours] == [59, 59, 59, 59, 44], "the newest of each"
    days = [at for at in times if at < now - 2 * DAY]
    assert [(at.date() - now.date()).days for at in days] == [-5, -4, -3]
    prune(book, now)
    assert kept(book) == times, "once more changes nothing"


def test_what_alerted_is_the_one_that_stays(book: MonitoringStore) -> None:
    bad = NOON - 3 * HOUR + 7 * MINUTE
    looks(book, [NOON - 3 * HOUR + k * MINUTE for k in range(60)], alert_at=bad)
    prune(book, NOON)
    assert kept(book) == [bad]


def test_what_is_few_a_look_stays_whole_for_a_day(book: MonitoringStore) -> None:
    times = [NOON - k * 30 * MINUTE for k in range(96)]
    looks(book, times, "performance")
    prune(book, NOON)
    found = kept(book, "performance")
    assert [at for at in found if at >= NOON - DAY] == sorted(at for at in times if at >= NOON - DAY)
    assert len([at for at in found if at < NOON - DAY]) == 24


def test_profiles_become_hours_whose_sums_are_the_same_and_go_after_a_month(book: MonitoringStore) -> None:
    begin = NOON - 6 * HOUR
    with book.transaction():
        for k in range(6 * 60):
            book.add_profile("loans", "v", begin + k * MINUTE, "age", pack(np.array([1, k], dtype=np.int64)))
            book.add_profile("loans", "v", begin + k * MINUTE, REQUESTS, pack(np.array([2], dtype=np.int64)))
    book.add_profile("loans", "left", NOON - 31 * DAY, "age", pack(np.array([1, 1], dtype=np.int64)))
    before = sum(unpack(c) for _, column, c in book.profiles("loans", "v", begin, NOON) if column == "age")
    prune(book, NOON)
    rows = [(bucket, unpack(c)) for bucket, column, c in book.profiles("loans", "v", begin, NOON) if column == "age"]
    assert [bucket for bucket, _ in rows[:4]] == [begin + k * HOUR for k in range(4)]
    assert len(rows) == 4 + 2 * 60, "what windows may look at stays fine"
    np.testing.assert_array_equal(sum(counts for _, counts in rows), before)
    assert len(book.active_buckets("loans", REQUESTS, begin, NOON)) == 360, "silence is told by the minute"
    assert [version for _, version, _ in book.profiled()] == ["v"]
    book.add_profile("loans", "v", begin + MINUTE, "age", pack(np.array([5, 5], dtype=np.int64)))  # came late
    prune(book, NOON)
    again = [unpack(c) for _, column, c in book.profiles("loans", "v", begin, NOON) if column == "age"]
    np.testing.assert_array_equal(sum(again), np.asarray(before) + 5)


def test_messages_about_alerts_go_after_a_quarter_once_they_are_sent(book: MonitoringStore) -> None:
    for key in ("opened-1", "closed-1", "released-1-risk", "opened-2"):
        book.queue_message(key, "t", "b", NOON - 100 * DAY)
    for key in ("opened-1", "closed-1", "released-1-risk"):
        book.message_sent(key, NOON - 99 * DAY)
    prune(book, NOON)
    assert [d.key for what in ("closed", "opened", "released") for d in book.deliveries(what)] == [
        "opened-2",
        "released-1-risk",
    ]


def test_the_signed_sum_follows_in_every_database(database_url: str) -> None:
    database = Database(database_url)
    book, ledger = SqlMonitoringStore(database, SignedSums(signer)), SqlLedger(database)
    for late in (5, 7):
        window = Window(start=NOON - 3 * HOUR, end=NOON - 2 * HOUR + late * MINUTE)
        book.add_findings(finding(subject=f"c{k}", window=window) for k in range(520))
    book.add_findings([finding(subject="c7", window=window, sentence="Told again.")])
    book.add_profile("loans", "v", NOON - 5 * HOUR, "age", pack(np.array([1], dtype=np.int64)))
    book.queue_message("opened-1", "t", "b", NOON)
    prune(book, NOON)
    rows = ledger.summed_rows()["findings"]
    assert len(rows) == 520
    head = ledger.head("findings")
    assert head is not None
    assert RowSum.restored(open_head("findings", head, signer().verifier())) == RowSum.of(row.columns for row in rows)
    database.close()


def test_looks_at_many_inputs_do_not_pile_up(tmp_path: Path) -> None:
    book = SqlMonitoringStore(Database(f"sqlite:///{tmp_path / 'state.db'}"))
    for look in range(12):
        end = NOON + look * 20 * MINUTE
        window = Window(start=end - HOUR, end=end)
        book.add_findings(finding(subject=f"input {k}", window=window) for k in range(64))
        prune(book, end)
    assert len(book.findings("loans", limit=100_000)) <= 64 * (1 + 4), "the last look, and one an hour"
