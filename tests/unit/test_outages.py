"""Silence, slowness and errors are told within two looks; nights, weekends and a caller who asks now and then are not."""

from __future__ import annotations

import ast
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest

import modelmark
from builders.domain import NOON
from modelmark.domain import errors
from modelmark.domain.alerts.watching import MISSED, unwatched, unwatched_for, watched_now
from modelmark.domain.errors import OF_THE_SERVER
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.workspace import Workspace
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.steward.loop import Steward
from modelmark.steward.service import Silence, evaluate, usual_pause
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore
from modelmark.testing.monitors import quiet_view

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SIZE = MINUTE


def stretch(start: datetime, end: datetime, every: timedelta = MINUTE) -> Iterator[datetime]:
    while start < end:
        yield start
        start += every


def days(count: int, opens: int = 0, closes: int = 24, *, closed: tuple[int, ...] = ()) -> list[datetime]:
    """Traffic in every minute of so many days up to today, while the office is open; today, until now."""
    midnight = NOON.replace(hour=0)
    return [
        at
        for back in range(count, -1, -1)
        if back not in closed
        for at in stretch(midnight - back * DAY + opens * HOUR, midnight - back * DAY + closes * HOUR)
        if at <= NOON
    ]


@cache
def quiet() -> MonitorContext:
    return quiet_view(100)


def told(silence: Silence | None, now: datetime, **more: int) -> dict[str, Finding]:
    view = replace(quiet(), now=now)
    found = evaluate(view, requests=more.get("requests", 1000), slow=more.get("slow", 0), silence=silence, every=MINUTE)
    return {finding.subject: finding for finding in found}


def silent_for(active: list[datetime], last: datetime, now: datetime, rate: float = 1.0) -> Outcome:
    known = [at for at in active if at <= last]
    usual = usual_pause(known, last, now, size=SIZE)
    return told(Silence(first=known[0], last=last, rate=rate, usual=usual), now)["traffic"].outcome


@pytest.mark.parametrize("known", [0, 2, 10], ids=["today alone", "two days", "ten days"])
def test_traffic_that_stops_is_told_within_two_looks(known: int) -> None:
    active = days(known)
    assert silent_for(active, NOON, NOON + 59 * SECOND) is Outcome.OK
    assert silent_for(active, NOON, NOON + 60 * SECOND) is Outcome.ALERT
    said = told(Silence(first=NOON - DAY, last=NOON, rate=1.0, usual=timedelta()), NOON + 2 * MINUTE)[
        "traffic"
    ].sentence
    assert said == (
        "Nobody has asked for 2 minutes, since 12:00:00 UTC; before, there were 60.0 a minute, and no pauses of this length."
    )


def test_one_burst_is_no_traffic_that_could_stop() -> None:
    assert silent_for([NOON - 9 * MINUTE, NOON], NOON, NOON + HOUR) is Outcome.CANNOT_TELL


def test_where_few_ask_a_silence_has_to_be_longer() -> None:
    assert silent_for(days(10), NOON, NOON + 2 * MINUTE, rate=1 / 20) is Outcome.OK
    assert silent_for(days(10), NOON, NOON + 5 * MINUTE, rate=1 / 20) is Outcome.ALERT


@pytest.mark.parametrize("known", [2, 10])
def test_a_night_is_quiet_though_it_began_a_little_early(known: int) -> None:
    closing = NOON.replace(hour=0) - 4 * HOUR  # yesterday at 20:00
    active = [at for at in days(known, 8, 20) if at < closing - 20 * MINUTE]
    last = closing - 20 * MINUTE
    outcomes = {silent_for(active, last, last + k * 30 * MINUTE) for k in range(25)}
    assert outcomes == {Outcome.OK}


def test_a_weekend_is_quiet_once_one_is_known_and_monday_counts_from_last_monday() -> None:
    active = days(16, closed=(1, 2, 8, 9, 15, 16))  # yesterday and the day before nobody asked, nor on such days before
    friday = NOON.replace(hour=0) - 2 * DAY - MINUTE
    assert silent_for([at for at in active if at <= friday], friday, friday + 20 * HOUR) is Outcome.OK
    assert silent_for(active, NOON, NOON + 2 * MINUTE) is Outcome.ALERT


def test_a_caller_who_comes_by_the_hour_is_no_outage_and_is_missed_when_it_does_not() -> None:
    active = list(stretch(NOON - 10 * HOUR, NOON + SECOND, HOUR))
    assert {silent_for(active, NOON, NOON + k * MINUTE) for k in (1, 30, 59, 90, 117)} == {Outcome.OK}
    assert silent_for(active, NOON, NOON + 119 * MINUTE) is Outcome.ALERT


def test_a_canary_says_nothing_of_the_models_silence() -> None:
    assert set(told(None, NOON)) == {"errors", "latency"}


def test_slow_answers_are_told_against_what_was_agreed() -> None:
    assert told(None, NOON, requests=1000, slow=10)["latency"].outcome is Outcome.OK, "one in a hundred is as agreed"
    slow = told(None, NOON, requests=1000, slow=60)["latency"]
    assert (slow.outcome, slow.limit) == (Outcome.ALERT, 0.02)
    assert slow.sentence.startswith("6.0% of answers took longer than the 100 ms agreed (60 of 1,000)")
    assert told(None, NOON, requests=9, slow=9)["latency"].outcome is Outcome.CANNOT_TELL


def test_errors_of_the_server_are_its_own_and_not_the_callers() -> None:
    view = replace(
        quiet_view(100),
        observed=Recorded(profiles={}, refused={("JOURNAL_FAILED", ""): 60, ("OUT_OF_RANGE", "amount"): 500}),
    )
    found = {f.subject: f for f in evaluate(view, requests=940, slow=0, silence=None, every=MINUTE)}["errors"]
    assert (found.outcome, found.measured) == (Outcome.ALERT, 0.06)
    assert "(60 of 1,000), mostly JOURNAL_FAILED" in found.sentence
    alone = {f.subject: f for f in evaluate(view, requests=0, slow=0, silence=None, every=MINUTE)}["errors"]
    assert alone.measured == 1.0, "an endpoint that answers nobody"


def test_every_code_of_the_server_at_the_endpoint_is_known_as_such() -> None:
    """Those that serving gives to what no caller is to blame for; starting and reading versions is nobody's request."""
    kinds, codes = {"NotYet", "TimedOut", "OutputInvalid", "Overloaded"}, set()
    root = Path(modelmark.__file__).parent
    for path in [*(root / "serving").rglob("*.py"), *(root / "journal" / "wal").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in kinds:
                given = [w.value.value for w in node.keywords if w.arg == "code" and isinstance(w.value, ast.Constant)]
                codes |= set(given)
    defaults = {getattr(errors, kind).default_code for kind in kinds} | {errors.ModelmarkError.default_code}
    starting = {"WORKER_FAILED", "PLUGIN_FAILED", "GOLDEN_DIFFERS"}
    assert codes | defaults <= OF_THE_SERVER | starting, "a server that does not start"
    assert (codes | defaults) - starting == OF_THE_SERVER


def test_a_steward_that_is_gone_is_missed_by_everybody_else(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert (unwatched_for(workspace), unwatched(workspace)) == (None, None), "nobody ever watched here"
    stop = threading.Event()
    steward = Steward(
        [], ServingVersions(list), MemoryMonitoringStore(), lambda: NOON, lives=lambda: done(workspace, stop)
    )
    steward.run(stop)
    seconds = unwatched_for(workspace)
    assert seconds is not None
    assert seconds < 60
    assert unwatched(workspace) is None
    long_ago = time.time() - MISSED - 60
    os.utime(workspace.runtime / "steward", (long_ago, long_ago))
    said = unwatched(workspace)
    assert said is not None
    assert said.startswith("nobody watches: the steward has done nothing for 3 minutes")


def done(workspace: Workspace, stop: threading.Event) -> None:
    watched_now(workspace)
    stop.set()
