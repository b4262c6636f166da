"""Columns that move together are one alert; what flaps rings less and less; where nobody asks, an alert is over."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from builders.domain import NOON, finding, version
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Alert, Finding, Outcome, Window
from modelmark.steward.alerts import MOST_KEY, tell
from modelmark.testing.monitoring_store import MemoryMonitoringStore

MINUTE = timedelta(minutes=1)
OK, BAD, UNSURE = Outcome.OK, Outcome.ALERT, Outcome.CANNOT_TELL


def look(minute: float, outcomes: dict[str, Outcome], monitor: str = "drift", *, column: bool = True) -> list[Finding]:
    """Of each column, what a window of an hour that ends then says; the further on in the alphabet, the further it moved."""
    end = NOON + minute * MINUTE
    return [
        finding(
            monitor=monitor, subject=subject, outcome=outcome, column=column, window=Window(start=end - 60 * MINUTE, end=end),
            sentence=f"{subject} moved.", measured=0.2 + k / 1000,
        )
        for k, (subject, outcome) in enumerate(outcomes.items())
    ]  # fmt: skip


class Keeper:
    """Tells look after look, a minute apart unless it is said."""

    def __init__(self) -> None:
        self.book = MemoryMonitoringStore()

    def tell(self, minute: float, findings: Sequence[Finding], idle: Collection[Digest] = ()) -> list[Alert]:
        return tell(self.book, findings, NOON + minute * MINUTE, every=MINUTE, queue=True, idle=idle)

    @property
    def open(self) -> list[Alert]:
        return list(self.book.alerts(open_only=True))

    def titles(self) -> list[str]:
        return [message.title for message in self.book.due_messages(NOON + timedelta(days=1))]


def many(n: int, outcome: Outcome = BAD) -> dict[str, Outcome]:
    return {f"c{k:03}": outcome for k in range(n)}


def test_128_columns_that_move_together_are_one_alert_that_names_them() -> None:
    keeper = Keeper()
    for minute in range(3):
        keeper.tell(minute, look(minute, many(128)))
    (alert,) = keeper.open
    assert alert.subjects == tuple(many(128))
    assert alert.sentence == (
        "128 columns together: “c127”, “c126”, “c125”, “c124”, “c123” and 123 more. The furthest: c127 moved."
    )
    assert keeper.titles() == ["loans: drift of 128 columns needs a look"]


def test_what_moves_within_a_window_of_it_joins_and_what_moves_later_is_another() -> None:
    keeper = Keeper()
    states = {"a": BAD, "b": OK, "c": OK}
    for minute in (0, 1):
        keeper.tell(minute, look(minute, states))
    for minute in (30, 31):
        keeper.tell(minute, look(minute, {**states, "b": BAD}))
    for minute in (70, 71):
        keeper.tell(minute, look(minute, {**states, "b": BAD, "c": BAD}))
    assert sorted(alert.subjects for alert in keeper.open) == [("a", "b"), ("c",)]
    assert keeper.titles() == ["loans: drift of a needs a look", "loans: drift of c needs a look"]


def test_other_monitors_and_other_versions_are_other_stories() -> None:
    keeper = Keeper()
    for minute in (0, 1):
        canary = [replace(f, version=Digest("sha256:" + "e" * 64)) for f in look(minute, {"a": BAD, "b": BAD})]
        keeper.tell(minute, [*look(minute, {"a": BAD, "b": BAD}), *look(minute, {"a": BAD}, "quality"), *canary])
    assert sorted((a.monitor, a.version == version().id, a.subjects) for a in keeper.open) == [
        ("drift", False, ("a", "b")),
        ("drift", True, ("a", "b")),
        ("quality", True, ("a",)),
    ]


def test_a_column_alerts_in_two_looks_running_before_anybody_hears_of_it() -> None:
    keeper = Keeper()
    for minute, outcome in enumerate([BAD, OK, BAD, OK, BAD, UNSURE]):
        keeper.tell(minute, look(minute, {"a": outcome}))
    assert keeper.book.alerts() == []
    keeper.tell(6, look(6, {"a": BAD}))
    keeper.tell(7, look(7, {"a": BAD}))
    assert len(keeper.open) == 1


def test_what_is_not_one_of_many_columns_is_heard_of_at_once() -> None:
    keeper = Keeper()
    assert len(keeper.tell(0, look(0, {"accuracy": BAD}, "performance", column=False))) == 1


@pytest.mark.parametrize("column", [True, False])
def test_what_comes_back_soon_is_the_same_alert_and_rings_less_and_less(column: bool) -> None:
    keeper = Keeper()
    for minute in range(0, 60, 6):  # two looks bad, four well, over and over
        for at, outcome in enumerate([BAD, BAD, OK, OK, OK, OK]):
            keeper.tell(minute + at, look(minute + at, {"a": outcome}, column=column))
    (alert,) = keeper.book.alerts()
    assert alert.details.reopened == 2
    assert alert.closed_at is None, "by now it has to be quiet for longer than it ever is"
    assert [title.removeprefix("loans: drift of a ") for title in keeper.titles()] == [
        "needs a look", "is over", "is back", "is over", "is back",
    ]  # fmt: skip
    for minute in range(60, 130):
        keeper.tell(minute, look(minute, {"a": OK}, column=column))
    assert keeper.open == [], "it ends all the same"


def test_an_alert_is_over_when_all_its_columns_are_well() -> None:
    keeper = Keeper()
    for minute in (0, 1):
        keeper.tell(minute, look(minute, {"a": BAD, "b": BAD}))
    for minute in (2, 3, 4):
        keeper.tell(minute, look(minute, {"a": OK, "b": BAD}))
    assert [(a.subjects, a.sentence) for a in keeper.open] == [(("a", "b"), "b moved.")]
    for minute in (5, 6, 7):
        keeper.tell(minute, look(minute, {"a": OK, "b": UNSURE}))
    assert len(keeper.open) == 1, "nobody can tell of b"
    keeper.tell(8, look(8, {"a": OK, "b": OK}))
    assert keeper.open == []


def test_without_traffic_alerts_about_it_are_over_and_those_about_answers_are_not() -> None:
    keeper = Keeper()
    for minute in (0, 1):
        keeper.tell(
            minute,
            [
                *look(minute, {"a": BAD, "b": BAD}),
                *look(minute, {"requests": BAD}, "quality", column=False),
                *look(minute, {"accuracy": BAD}, "performance", column=False),
            ],
        )
    quiet = [
        *look(2, {"a": UNSURE, "b": UNSURE}),
        *look(2, {"requests": UNSURE}, "quality", column=False),
        *look(2, {"accuracy": UNSURE}, "performance", column=False),
    ]
    keeper.tell(2, quiet)
    assert len(keeper.open) == 3, "cannot tell is not: nobody asks"
    keeper.tell(3, quiet, idle={version().id})
    assert [a.monitor for a in keeper.open] == ["performance"]
    assert {a.details.ended for a in keeper.book.alerts() if a.closed_at} == {"there is no traffic any more"}
    body = keeper.book.due_messages(NOON + timedelta(days=1))[-1].body
    assert body.count("over: there is no traffic any more") == 2


def test_a_message_about_many_alerts_has_a_key_that_fits_its_column() -> None:
    keeper = Keeper()
    keeper.book._numbers = iter(range(1000, 10_000))  # type: ignore[assignment]
    keeper.tell(0, [f for k in range(60) for f in look(0, {f"m{k}": BAD}, "elsewhere", column=False)])
    keys = [message.key for message in keeper.book.due_messages(NOON + MINUTE)]
    assert [len(key) <= MOST_KEY for key in keys] == [True]
    told = {str(alert.id) for alert in keeper.open} & set(keys[0].split("-"))
    assert len(told) >= 8, "some of those it tells of stay known by it"
