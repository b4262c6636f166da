"""Which labels a look judges: those of the rows predicted in a span of time, widened until it can tell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from builders.domain import NOON
from builders.journal import AT, VERSION, journal, label, predicted
from builders.steward import book, steward
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.cohorts import CohortSize, cohort_sizes
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.records import Record

HOUR = timedelta(hours=1)


def ns(at: datetime) -> int:
    return AT + (at - NOON) // timedelta(microseconds=1) * 1000


def answered(name: str, count: int, at: datetime, *, every: timedelta = timedelta(seconds=1)) -> list[Record]:
    """Rows that were all answered with class 1, one after the other."""
    return [predicted(f"{name}{i}", at=ns(at + i * every)) for i in range(count)]


def truth(name: str, which: Iterable[int], right: bool, at: datetime) -> list[Record]:
    return [label(f"{name}{i}", int(right), at=ns(at)) for i in which]


def look(root: Path, at: datetime, *records: Record) -> Finding:
    """What performance says at a time at which these were in the journal. The contract asks for 20 labels in 10 minutes,
    which usually take 24 hours, and for an accuracy of 0.85."""
    journal(root, *records)
    return {f.monitor: f for f in steward(root).step(at).findings}["performance"]


def test_labels_count_by_when_their_row_was_predicted(tmp_path: Path) -> None:
    """Yesterday's answers were right and today's are wrong. Yesterday's labels come last and say nothing of today."""
    old, now = NOON - 40 * HOUR, NOON
    found = look(
        tmp_path,
        NOON + 2 * timedelta(minutes=1),
        *answered("old", 600, old),
        *answered("new", 60, now),
        *truth("new", range(60), False, now),
        *truth("old", range(600), True, now + timedelta(minutes=1)),
    )
    assert (found.outcome, found.n, found.measured) == (Outcome.ALERT, 60, 0.0), found.sentence


def test_labels_that_are_sent_again_close_no_alert(tmp_path: Path) -> None:
    later = NOON + timedelta(minutes=1)
    rows = [*answered("old", 600, NOON - 40 * HOUR), *answered("new", 100, NOON)]
    right = truth("old", range(600), True, NOON - 30 * HOUR)
    assert look(tmp_path, later, *rows, *right, *truth("new", range(100), False, NOON)).outcome is Outcome.ALERT
    for minute in (2, 3, 4):
        again = truth("old", range(600), True, NOON + timedelta(minutes=minute - 1))
        assert look(tmp_path, NOON + timedelta(minutes=minute), *again).n == 100
    assert [a.monitor for a in book(tmp_path).alerts(open_only=True) if a.monitor == "performance"] == ["performance"]


def test_few_labels_an_hour_are_looked_for_further_back(tmp_path: Path) -> None:
    """Three labels an hour never make twenty in ten minutes."""
    slowly = answered("slow", 90, NOON - 30 * HOUR, every=HOUR / 3)
    found = look(tmp_path, NOON, *slowly, *truth("slow", range(90), False, NOON))
    assert found.outcome is Outcome.ALERT
    assert "predicted 2026-03-01 01:20 to 2026-03-01 12:00 UTC (100% labelled)" in found.sentence
    few = look(tmp_path / "few", NOON, *answered("few", 19, NOON - HOUR), *truth("few", range(19), False, NOON))
    assert few.outcome is Outcome.CANNOT_TELL
    assert "19 labels of 19 rows predicted" in few.sentence
    past = NOON - timedelta(days=92)
    far = look(tmp_path / "far", NOON, *answered("far", 99, past), *truth("far", range(99), False, NOON))
    assert (far.outcome, far.n) == (Outcome.CANNOT_TELL, 0), "and 90 days are far enough"


def test_what_is_mature_comes_before_what_came_first(tmp_path: Path) -> None:
    """Of the rows of now a third has its label, and those are wrong; the rows of a day ago are labelled, and right."""
    now = [*answered("new", 300, NOON - timedelta(minutes=8)), *truth("new", range(0, 300, 3), False, NOON)]
    early = look(tmp_path / "early", NOON, *now)
    assert early.outcome is Outcome.ALERT
    assert "(33% labelled)" in early.sentence
    assert early.sentence.endswith("those that come first need not be typical.")
    ago = [*answered("old", 50, NOON - 24 * HOUR - timedelta(minutes=5)), *truth("old", range(30), True, NOON)]
    mature = look(tmp_path / "mature", NOON, *now, *ago)
    assert (mature.outcome, mature.n) == (Outcome.OK, 30)
    assert "30 labels" in mature.sentence
    assert "of 50 rows predicted 2026-02-28 11:50 to 2026-02-28 12:00 UTC (60% labelled)" in mature.sentence


def test_a_cohort_counts_what_the_model_answered_once_each(tmp_path: Path) -> None:
    minutes = [NOON - timedelta(minutes=m) for m in (5, 10, 20)]
    rows = [predicted(f"p{i}", at=ns(at)) for i, at in enumerate(minutes)]
    others = [
        predicted("rule", at=ns(minutes[0]), path="constant"),
        predicted("else", at=ns(minutes[0]), version="f" * 64),
    ]
    two = predicted("two", ages=(1.0, 2.0), jobs=("a", "b"), at=ns(minutes[2]))
    said = [label("p0", 1), label("p0", 0, at=AT + 1), label("rule", 1), label("two", 1, row=1), label("nobody", 1)]
    theirs = label("p1", 1, model="other")
    space = journal(tmp_path, *rows, *others, two, *said, theirs)
    asked = (space, "loans", VERSION, minutes, NOON)
    assert cohort_sizes(*asked, paths=("model",)) == []
    compact(space)
    found = cohort_sizes(*asked, paths=("model",))
    assert found == [CohortSize(1, 1), CohortSize(2, 1), CohortSize(5, 2)]
    assert cohort_sizes(space, "loans", VERSION, [NOON], NOON, paths=("model",)) == [CohortSize(0, 0)]
    assert cohort_sizes(Workspace(tmp_path), "nobody", VERSION, minutes, NOON, paths=("model",)) == []
