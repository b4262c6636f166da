"""Volume and freshness: as much comes as usual at this time, and labels still come."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import pytest
from bench.laws.volume import alarms, found_share
from scipy.stats import binomtest

from builders.domain import NOON
from builders.journal import AT, journal, label, pid, predicted
from builders.steward import book, steward, watched
from modelmark.domain.catalogue.monitor_settings import Cycle, VolumeMonitor
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.monitors.arrivals import WEEK, Arrivals, Labels, labels_of, same_phase
from modelmark.monitors.monitor import Recorded
from modelmark.monitors.volume import Volume
from modelmark.stats.watching.volume import ratio
from modelmark.testing.monitors import WINDOW, quiet_view

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def test_a_year_of_ups_and_downs_is_quiet_and_a_tenth_of_the_traffic_is_not() -> None:
    """The law of bench/laws/volume.py, short."""
    assert sum(alarms(seed, weeks=6) for seed in range(2)) <= 1
    assert found_share(0, 0.1) > 0.9
    assert found_share(0, 0.1, rate=4.0) == 0, "of so few nothing is said; that none come the service tells"


def test_a_ratio_is_of_the_nearest_end_of_what_is_usual() -> None:
    within = ratio(100, [90, 110], confidence=0.95)
    assert within is not None
    assert (within.measured, within.low, within.high) == (1, 1, 1)
    fewer = ratio(45, [110, 90], confidence=0.95)
    assert fewer is not None
    assert fewer.measured == 0.5
    theirs = binomtest(45, 135).proportion_ci(0.95, "exact")
    assert (fewer.low, fewer.high) == pytest.approx((theirs.low / (1 - theirs.low), theirs.high / (1 - theirs.high)))
    more = ratio(220, [110, 90], confidence=0.95)
    assert more is not None
    assert (more.measured, more.low > 1.5) == (2, True)
    assert ratio(5, [0, 0], confidence=0.95) is None


def test_the_same_phase_is_weeks_or_days_ago_or_just_before_and_never_overlaps() -> None:
    weeks = same_phase(WINDOW, Cycle.WEEK)
    assert [WINDOW.start - one.start for one in weeks] == [k * WEEK for k in (1, 2, 3, 4)]
    assert [WINDOW.start - one.start for one in same_phase(WINDOW, Cycle.DAY)] == [k * DAY for k in range(1, 8)]
    assert same_phase(WINDOW, Cycle.NONE)[0].end == WINDOW.start
    long = Window(start=NOON, end=NOON + 30 * HOUR)
    assert [long.start - one.start for one in same_phase(long, Cycle.DAY)][:2] == [2 * DAY, 4 * DAY]


def test_labels_are_counted_by_week_and_their_longest_pause_is_known() -> None:
    hours = [(NOON - 20 * DAY, 5), (NOON - 13 * DAY, 7), (NOON - 12 * DAY, 1), (NOON - 2 * DAY, 9)]
    found = labels_of(hours, NOON)
    assert (found.last, found.count, list(found.usual)) == (NOON - 2 * DAY, 9, [8])
    assert (found.longest, found.known) == (10 * DAY, 20 * DAY)
    assert labels_of([], NOON, owed=False) == Labels(owed=False)


def told(subject: str, *, hours: float | None = 24.0, settings: VolumeMonitor = VolumeMonitor(), **changes) -> Finding:
    view = quiet_view(100)
    assert isinstance(view.observed, Recorded)
    usual = {"requests": 100, "usual": (100, 120), "first": NOON - 30 * DAY, "labels": view.observed.arrivals.labels}
    arrivals = Arrivals(**{**usual, **changes})
    deal = dataclasses.replace(
        view.contract, labels=dataclasses.replace(view.contract.labels, expected_delay_hours=hours)
    )
    view = dataclasses.replace(
        view, contract=deal, observed=dataclasses.replace(view.observed, arrivals=arrivals), now=NOON
    )
    (one,) = (f for f in Volume(settings).evaluate(view) if f.subject == subject)
    return one


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({}, Outcome.OK),
        ({"requests": 60}, Outcome.OK),
        ({"requests": 25}, Outcome.ALERT),
        ({"requests": 25, "settings": VolumeMonitor(tolerance=0.9)}, Outcome.OK),
        ({"requests": 400}, Outcome.ALERT),
        ({"requests": 0}, Outcome.CANNOT_TELL),  # the service tells
        ({"usual": (100,)}, Outcome.CANNOT_TELL),
        ({"usual": (100, 0), "requests": 1}, Outcome.OK),
        ({"usual": (0, 0), "requests": 5}, Outcome.OK),
    ],
)
def test_requests(changes, outcome: Outcome) -> None:
    assert told("volume", **changes).outcome is outcome


def test_a_finding_says_how_many_and_beside_what() -> None:
    one = told("volume", requests=25)
    assert one.sentence == (
        "25 requests; in the same hours of 2 weeks before 100 to 120: 0.25 times the least of these "
        "(interval 0.12 to 0.49), told below 0.50."
    )
    assert (one.n, one.measured, one.limit) == (25, 0.25, 0.5)


LATELY = Labels(last=NOON - HOUR, count=90, usual=(100, 110), longest=6 * HOUR, known=30 * DAY)


@pytest.mark.parametrize(
    ("labels", "outcome"),
    [
        (LATELY, Outcome.OK),
        (dataclasses.replace(LATELY, last=NOON - 12 * HOUR), Outcome.OK),
        (dataclasses.replace(LATELY, last=NOON - 13 * HOUR), Outcome.ALERT),
        (dataclasses.replace(LATELY, last=NOON - 13 * HOUR, owed=False), Outcome.OK),
        (dataclasses.replace(LATELY, last=NOON - 13 * HOUR, known=3 * DAY), Outcome.CANNOT_TELL),
        (dataclasses.replace(LATELY, count=20), Outcome.ALERT),
        (dataclasses.replace(LATELY, count=20, usual=(100,)), Outcome.OK),
    ],
)
def test_labels(labels: Labels, outcome: Outcome) -> None:
    assert told("labels", labels=labels).outcome is outcome


@pytest.mark.parametrize(
    ("hours", "first", "outcome"),
    [
        (24.0, NOON - 3 * DAY, Outcome.ALERT),
        (24.0, NOON - DAY, Outcome.CANNOT_TELL),
        (720.0, NOON - 30 * DAY, Outcome.CANNOT_TELL),
        (None, NOON - 30 * DAY, Outcome.CANNOT_TELL),
        (24.0, None, Outcome.CANNOT_TELL),
    ],
)
def test_labels_that_were_agreed_and_never_came(hours, first, outcome: Outcome) -> None:
    assert told("labels", labels=Labels(), hours=hours, first=first).outcome is outcome


def at(days: float) -> int:
    return AT + int(days * 86_400e9)


def asked(root: Path, n: int, days: float, **changes) -> None:
    journal(root, *(predicted(pid(f"{days}/{i}"), at=at(days) - (i + 1) * 10**9, **changes) for i in range(n)))


def test_half_the_callers_gone_is_an_alert_of_the_champion_alone(tmp_path: Path) -> None:
    for days in (-15, -14, -7):
        asked(tmp_path, 200, days)
    for i in range(20):  # labels come every twelve hours, until a week ago
        journal(tmp_path, label(pid(f"-14/{i}"), 1, at=at(-17 + i / 2)))
    asked(tmp_path, 40, 0)
    asked(tmp_path, 5, -6)
    champion = dataclasses.replace(watched(), arm="champion")
    canary = dataclasses.replace(champion, version=dataclasses.replace(champion).version, arm="canary")
    opened = steward(tmp_path, serving=[champion]).step(NOON + MINUTE).opened
    said = {alert.subject: alert.sentence for alert in opened if alert.monitor == "volume"}
    assert said["volume"].startswith("40 requests; in the same hours of 2 weeks before 200 to 200: 0.20 times")
    assert said["labels"].startswith("No label has come for 8 days, since 2026-02-")
    looked = steward(tmp_path / "canary", serving=[canary]).step(NOON + MINUTE).findings
    assert [f for f in looked if f.monitor == "volume"] == []


def test_before_two_weeks_are_known_nobody_is_told(tmp_path: Path) -> None:
    asked(tmp_path, 200, -7)
    asked(tmp_path, 40, 0)
    steward(tmp_path).step(NOON + MINUTE)
    found = {f.subject: f for f in book(tmp_path).findings("loans", monitor="volume")}
    assert found["volume"].outcome is Outcome.CANNOT_TELL
    assert found["volume"].sentence.endswith("the same hours of 2 weeks would tell, and 0 are known.")
    assert found["labels"].sentence.startswith(
        "No label has come for anything that was answered in 7 days; agreed are 24"
    )
