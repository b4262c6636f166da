"""Drift knows its season: what follows the hours is quiet, what moved inside them is found, and what nobody can know pages
nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from modelmark.app.training import describe
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.monitors.drift import FAR, Drift
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.stats.profile import SCORE, Reference, tally
from modelmark.stats.seasons import covered, long_before
from modelmark.testing.monitors import quiet_view

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
LOAD, YEAR = Input(name="load", type=DataType.NUMBER), Input(name="year", type=DataType.INTEGER)


def seasonal(times: pd.DatetimeIndex, rng: np.random.Generator, *, weekly: bool) -> np.ndarray:
    """Two standard deviations higher by day than by night; on Saturdays and Sundays as by night, where weekly."""
    by_day = (times.hour >= 8) & (times.hour < 20) & (~weekly | (times.dayofweek < 5))
    return rng.normal(2.0 * by_day, 1.0)


def contract(time: str | None) -> Contract:
    deal = quiet_view(10).contract
    return replace(deal, inputs=(LOAD, YEAR), data=replace(deal.data, time=time))


@cache
def known(time: str | None = "at", *, weekly: bool = False, days: int = 60) -> Reference:
    rng = np.random.default_rng(0)
    tables = []
    for start, rows in ((MONDAY - (days + 14) * DAY, 30_000), (MONDAY - 14 * DAY, 10_000)):
        span = (days if rows == 30_000 else 14) * 86_400
        at = pd.DatetimeIndex([start + timedelta(seconds=s) for s in np.sort(rng.uniform(0, span, rows))])
        load = seasonal(at, rng, weekly=weekly)
        tables.append(pd.DataFrame({"at": at.astype(str), "load": load, "year": at.year}))
    train, holdout = tables
    score = 1 / (1 + np.exp(-holdout["load"].to_numpy()))
    return Reference.from_bytes(describe(contract(time), train, holdout, np.stack([1 - score, score], axis=1)))


def profile(of: Reference, at: datetime, *, weekly: bool = False, moved: float = 0.0, rows: int = 400) -> dict:
    rng = np.random.default_rng(int(at.timestamp()))
    times = pd.DatetimeIndex([at + timedelta(seconds=s) for s in rng.uniform(0, 3600, rows)])
    load = seasonal(times, rng, weekly=weekly) + moved
    return tally(of, {"load": load, "year": np.full(rows, 2027), SCORE: 1 / (1 + np.exp(-load))})


def view(
    of: Reference,
    at: datetime,
    *,
    weekly: bool = False,
    moved: float = 0.0,
    earlier: Sequence[tuple[datetime, float]] = (),
) -> MonitorContext:
    past = {when: profile(of, when, weekly=weekly, moved=by) for when, by in earlier}
    observed = Recorded(profiles=profile(of, at, weekly=weekly, moved=moved), refused={}, earlier=past)
    return replace(quiet_view(10), reference=of, window=Window(start=at, end=at + HOUR), observed=observed)


def found(shown: MonitorContext, subject: str = "load", cycle: Cycle | None = None) -> Finding:
    return {f.subject: f for f in Drift(DriftMonitor(cycle=cycle)).evaluate(shown)}[subject]


@pytest.mark.parametrize("weekly", [False, True])
def test_a_season_that_training_covered_is_quiet_at_every_hour_of_two_weeks(weekly: bool) -> None:
    of = known(weekly=weekly)
    hours = [MONDAY + k * HOUR for k in range(0, 14 * 24, 11)]
    said = [f for at in hours for f in Drift(DriftMonitor()).evaluate(view(of, at, weekly=weekly))]
    assert sum(f.outcome is Outcome.ALERT for f in said) <= 2, "one look in a hundred may"
    assert {f.outcome for f in said if f.subject == "load"} <= {Outcome.OK, Outcome.ALERT}
    whole = [found(view(of, at, weekly=weekly), cycle=Cycle.NONE) for at in hours[:4]]
    assert all(f.outcome is Outcome.ALERT for f in whole), "else there was no season to know of"


@pytest.mark.parametrize("hour", [3, 12])
def test_a_shift_inside_a_season_is_found_though_training_has_such_values_at_other_hours(hour: int) -> None:
    at = MONDAY + hour * HOUR
    said = found(view(known(), at, moved=2.0 if hour == 3 else -2.0))
    assert said.outcome is Outcome.ALERT
    assert "training rows of these hours of the day" in said.sentence


def test_a_week_is_learned_where_days_differ() -> None:
    saturday = MONDAY + 5 * DAY + 12 * HOUR
    assert (
        "of these hours of the working day or weekend"
        in found(view(known(weekly=True), saturday, weekly=True)).sentence
    )
    assert found(view(known(weekly=True), saturday)).outcome is Outcome.ALERT, "Saturday is like a weekday"


def test_a_column_whose_hours_are_alike_is_compared_with_all_rows() -> None:
    said = {f.subject: f for f in Drift(DriftMonitor()).evaluate(quiet_view(1000))}
    assert "beside 20,000 training rows)" in said["amount"].sentence
    assert "beside 20,000 holdout rows)" in said["score"].sentence


def test_hours_that_training_hardly_has_cannot_tell() -> None:
    of = known()
    column = of.columns["load"]
    assert column.season is not None
    counts = column.season.counts.copy()
    counts[3] = 0
    thin = replace(of, columns={**of.columns, "load": replace(column, season=replace(column.season, counts=counts))})
    said = found(view(thin, MONDAY + 3 * HOUR))
    assert (said.outcome, "only 0 training rows of these hours" in said.sentence) == (Outcome.CANNOT_TELL, True)


def test_without_times_nobody_is_told_of_what_may_be_the_hour() -> None:
    said = found(view(known(None), MONDAY + 3 * HOUR))
    assert said.outcome is Outcome.CANNOT_TELL
    assert "which hours these rows are of is not known well enough" in said.sentence
    assert "a day of traffic would tell" in said.sentence


def test_what_no_hour_explains_is_told_without_times() -> None:
    said = found(view(known(None), MONDAY + 3 * HOUR, moved=40.0))
    assert said.outcome is Outcome.ALERT, said.sentence
    assert said.measured is not None
    assert said.measured >= FAR


def test_a_machine_that_runs_for_a_quarter_of_the_day_is_not_told_of_while_it_runs() -> None:
    """The bound is above what the plainest of seasons does: seen on or off, beside its whole day."""
    for share in (0.25, 0.5, 0.75):
        day = np.array([1 - share, share])
        for window in (np.array([0.0, 1.0]), np.array([1.0, 0.0])):
            middle = (day + window) / 2
            bits = sum(0.5 * float(np.sum(p[p > 0] * np.log2(p[p > 0] / middle[p > 0]))) for p in (day, window))
            assert bits**0.5 < FAR


def life(days: int, moved_from: int | None = None) -> list[tuple[datetime, float]]:
    """The hours of so many days before Monday; moved_from: how many days before it everything moved."""
    return [
        (MONDAY - back * HOUR, 2.0 if moved_from is not None and back <= 24 * moved_from else 0.0)
        for back in range(1, 24 * days + 1)
    ]


@pytest.mark.parametrize(
    ("at", "moved", "earlier", "outcome", "words"),
    [
        pytest.param(0, 0.0, life(1), Outcome.OK, "rows of these hours a day ago", id="quiet, a day is known"),
        pytest.param(0, 2.0, life(1), Outcome.ALERT, "rows of these hours a day ago", id="moved since yesterday"),
        pytest.param(0, 0.0, life(8), Outcome.OK, "rows of these hours a week ago", id="quiet, a week is known"),
        pytest.param(0, 2.0, life(1, 1), Outcome.ALERT, "since a day ago, whatever the hour", id="moved all along"),
        pytest.param(0, 2.0, life(8, 3), Outcome.ALERT, "a week ago", id="moved three days ago"),
    ],
)
def test_without_times_the_past_is_the_reference(
    at: int, moved: float, earlier: list[tuple[datetime, float]], outcome: Outcome, words: str
) -> None:
    said = found(view(known(None), MONDAY + at * HOUR, moved=moved, earlier=earlier))
    assert said.outcome is outcome, said.sentence
    assert words in said.sentence


def test_a_declared_week_waits_for_a_week() -> None:
    said = found(view(known(None), MONDAY, earlier=life(2)), cycle=Cycle.WEEK)
    assert said.outcome is Outcome.CANNOT_TELL
    assert "a week of traffic would tell" in said.sentence


def test_a_clock_is_named_and_never_alarms() -> None:
    said = found(view(known(), MONDAY), "year")
    assert said.outcome is Outcome.OK
    assert said.sentence == (
        "“year” is a clock: at training time it only went forward, so it is bound to leave the reference."
    )
    assert found(view(known(None), MONDAY), "year", Cycle.NONE).outcome is Outcome.ALERT, "without times it looks moved"


@pytest.mark.parametrize(
    ("live", "outcome"),
    [("goes on", Outcome.OK), ("as training, shuffled", Outcome.OK), ("its beginning", Outcome.ALERT)],
)
def test_a_counter_of_a_table_without_a_time_is_a_clock_as_long_as_it_goes_on(live: str, outcome: Outcome) -> None:
    """Sorted rows are no clock: what comes back to where training was is compared like any other input."""
    counter, rng = np.arange(40_000), np.random.default_rng(0)
    table = pd.DataFrame({"load": rng.normal(size=40_000), "year": counter})
    score = rng.uniform(size=10_000)
    made = describe(contract(None), table[:30_000], table[30_000:], np.stack([1 - score, score], axis=1))
    of = Reference.from_bytes(made)
    values = {"goes on": np.arange(40_000, 40_400), "as training, shuffled": rng.integers(0, 30_000, 400),
              "its beginning": np.arange(400)}[live]  # fmt: skip
    seen = tally(of, {"load": rng.normal(size=400), "year": values, SCORE: rng.uniform(size=400)})
    shown = replace(quiet_view(10), reference=of, window=Window(start=MONDAY, end=MONDAY + HOUR),
                    observed=Recorded(profiles=seen, refused={}, earlier={}))  # fmt: skip
    said = found(shown, "year", Cycle.NONE)
    assert said.outcome is outcome, said.sentence
    assert ("is a clock" in said.sentence) == (live == "goes on")
    if live == "goes on":
        assert "grew with the order of rows" in said.sentence
        assert "data.time" in said.sentence


def test_a_reference_keeps_its_season_and_refuses_one_that_does_not_fit() -> None:
    of = known()
    again = Reference.from_bytes(of.to_bytes())
    season, kept = of.columns["load"].season, again.columns["load"].season
    assert season is not None
    assert kept is not None
    assert (kept.counts == season.counts).all()
    assert (again.columns["year"].clock, again.columns["load"].hours) == (True, 168)
    assert int(season.counts.sum()) == 30_000


@pytest.mark.parametrize(
    ("days", "step", "hours"),
    [(1, 60, 0), (3, 60, 24), (13, 60, 24), (15, 60, 168), (15, 3600, 0), (9000, 86_400, 0)],
    ids=["a day", "three days", "not two weeks", "two weeks", "too few rows", "dates without hours"],
)
def test_a_cycle_is_known_when_it_was_seen_twice(days: int, step: int, hours: int) -> None:
    assert covered(np.arange(0.0, days * 86_400, step) * 1e6) == hours


def test_the_same_hours_long_ago_are_whole() -> None:
    at = MONDAY + 8 * HOUR + timedelta(minutes=20)
    assert long_before(at, at + HOUR, 24) == (MONDAY - 16 * HOUR, MONDAY - 14 * HOUR)
    assert long_before(MONDAY, MONDAY + HOUR, 24) == (MONDAY - DAY, MONDAY - DAY + HOUR)
