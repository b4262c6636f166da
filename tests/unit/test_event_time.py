"""When what is asked about happened: read, bounded, and kept beside the moment at which it was said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from builders.domain import NOON
from builders.journal import AT, journal, label, predicted, refused
from builders.steward import book, steward, traffic, watched
from modelmark.domain.errors import Rejected
from modelmark.domain.finding import Outcome
from modelmark.domain.predictions.event_time import AHEAD, OLDEST, event_time
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.cohorts import cohort_sizes, labelled_since
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import find, labelled
from modelmark.journal.tables.service import answered, heard
from modelmark.steward.profiler import Profiler

NOW = 1_795_860_000 * 10**9
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no moment"), (17, "no moment"), ("", "no moment"), ("yesterday", "no moment"), ("2026-11-28", "no moment"),
        ("2026-11-28T10:00:00", "no moment"), ("2026-11-28T25:00:00Z", "no moment"),
        ("2026-11-28T10:00:00Z" + " " * 40, "no moment"),
        ("1969-12-31T23:59:59Z", "too long ago"), ("2026-10-20T10:00:00Z", "too long ago"), ("2099-01-01T00:00:00Z", "to come"),
        ("0001-01-01T00:00:00+14:00", "too long ago"), ("9999-12-31T23:59:59-14:00", "to come"),
    ],
)  # fmt: skip
def test_what_is_no_moment_or_cannot_be_one_is_refused(text: object, said: str) -> None:
    with pytest.raises(Rejected, match=said) as refusal:
        event_time(text, NOW, oldest=OLDEST, row=3)
    facts = refusal.value.facts()
    assert (facts["code"], facts["field"], facts["row"]) == ("BAD_TIME", "at", 3)
    assert "30 days ago to five minutes from now" in facts["limit"]
    assert ("modelmark backfill" in facts.get("hint", "")) == (said == "too long ago")


def test_moments_are_read_in_every_zone_and_up_to_a_clock_that_is_ahead() -> None:
    same = {event_time(text, NOW) for text in ("2026-11-28T10:00:00.25Z", "2026-11-28T11:00:00.250+01:00")}
    assert same == {1_795_860_000_250_000_000}
    at = datetime.fromtimestamp((NOW + AHEAD) // 10**9, UTC)
    assert event_time(at.isoformat(), NOW) == NOW + AHEAD
    with pytest.raises(Rejected):
        event_time((at + timedelta(microseconds=1)).isoformat(), NOW)


def _event(*moments: datetime) -> bytes:
    return np.array([int(m.timestamp() * 1_000_000) * 1000 for m in moments], "<i8").tobytes()


def test_the_tables_hold_both_moments(tmp_path: Path) -> None:
    space = journal(
        tmp_path,
        predicted("a" * 32),
        predicted("b" * 32, event=_event(NOON - DAY)),
        predicted("c" * 32, ages=(1.0, 2.0), jobs=("a", "b"), event=_event(NOON - HOUR, NOON - 2 * HOUR)),
    )
    compact(space)
    times = {id: [(row["at"], row["received_at"]) for row in find(space, id * 32)] for id in "abc"}
    assert times == {
        "a": [(NOON, None)], "b": [(NOON - DAY, NOON)], "c": [(NOON - HOUR, NOON), (NOON - 2 * HOUR, NOON)],
    }  # fmt: skip
    version = watched().version.hex
    assert answered(space, "loans", version, NOON, NOON + MINUTE, slower_than=1.0) == (3, 0)
    assert heard(space, "loans", NOON, NOON + MINUTE) == (3, NOON, NOON)
    assert heard(space, "loans", NOON - 2 * DAY, NOON) == (0, None, None)


def test_labels_count_when_they_became_true_and_the_one_said_last_wins(tmp_path: Path) -> None:
    space = journal(
        tmp_path,
        predicted("a" * 32),
        msgspec.structs.replace(label("a" * 32, 1, at=AT + 10**9), event=AT + 5 * 10**8),
        msgspec.structs.replace(label("a" * 32, 0, at=AT + 2 * 10**9), event=AT + 10**8),
    )
    compact(space)
    (row,) = labelled(space, "loans", NOON, NOON + MINUTE).to_pylist()
    assert (row["label"], row["labelled_at"]) == ("0", NOON + timedelta(seconds=0.1))
    before = NOON + timedelta(seconds=1.5)
    (then,) = labelled(space, "loans", NOON, NOON + MINUTE, known_by=before).to_pylist()
    assert then["label"] == "1"
    assert not labelled(space, "loans", NOON, NOON + MINUTE, known_by=NOON).num_rows
    assert labelled_since(space, "loans", before) == 1, "by when it was said"
    sizes = [
        cohort_sizes(space, "loans", watched().version.hex, [NOON], NOON + MINUTE, paths=["model"], known_by=moment)
        for moment in (NOON, before, None)
    ]
    assert [(size.rows, size.labels) for (size,) in sizes] == [(1, 0), (1, 1), (1, 1)]


def _asked(root: Path, minute: int, *, ago: timedelta, shift: float = 0.0) -> None:
    came = NOON + minute * MINUTE
    many = traffic(300, seed=minute, shift=shift)
    journal(
        root,
        *(
            predicted(
                f"{minute}-{i}", ages=(age,), jobs=(job,), score=s, at=int(came.timestamp()) * 10**9,
                event=_event(came - ago),
            )
            for i, (age, job, s) in enumerate(many)
        ),
    )  # fmt: skip


def test_a_stream_that_comes_hours_after_the_fact_is_watched_as_it_happened(tmp_path: Path) -> None:
    keeper = steward(tmp_path, serving=[watched()])
    found, late = {}, 3 * HOUR
    for minute in range(4):
        _asked(tmp_path, minute, ago=late, shift=30 if minute >= 2 else 0)
        found = {
            (f.monitor, f.subject): f for f in keeper.step(NOON + minute * MINUTE + timedelta(seconds=30)).findings
        }
    moved, asked = found["drift", "age"], found["quality", "requests"]
    assert (moved.outcome, moved.n) == (Outcome.ALERT, 1200)
    assert moved.window.end == NOON - late + 3.5 * MINUTE
    assert (asked.n, asked.window.end) == (1200, NOON + 3.5 * MINUTE), "requests are counted as they come"


def test_refusals_of_late_streams_are_told_as_they_come(tmp_path: Path) -> None:
    keeper = steward(tmp_path, serving=[watched()])
    for minute in range(3):
        _asked(tmp_path, minute, ago=3 * HOUR)
        journal(tmp_path, refused(300, at=AT + minute * 60 * 10**9))
        step = keeper.step(NOON + minute * MINUTE + timedelta(seconds=30))
    (said,) = [f for f in step.findings if f.subject == "requests"]
    assert (said.outcome, said.n) == (Outcome.ALERT, 1800)


def test_half_of_what_came_last_says_how_late_a_stream_is(tmp_path: Path) -> None:
    space, store = Workspace(tmp_path), book(tmp_path)
    profiler = Profiler(space, store)
    profiler.watch(watched())
    for minute, ago in enumerate((HOUR, timedelta(), timedelta(seconds=0.5))):
        _asked(tmp_path, minute, ago=ago)
        compact(space)
        profiler.step()
        assert profiler.lag("loans") == (ago if ago >= timedelta(seconds=1) else timedelta())
    assert profiler.lag("another") == timedelta()
