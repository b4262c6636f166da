"""Drift: do inputs and scores still look like the reference? An effect size, its interval and what chance gives; no
p-value.

The reference knows its season. Where the training table's times cover a day or a week, and a column's hours differ, the window
is compared with the training rows of its own hours. Where nothing tells which hours the table holds, the window may look
unlike it for no other reason than the time of day: then it is also compared with the same hours a week ago, or a day,
and those days as a whole with the table; while there are none nobody is told, unless no time of day could explain it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.monitors.monitor import MonitorContext, named, subject_of
from modelmark.stats.drift import Drift as Measured
from modelmark.stats.drift import drift, drifts
from modelmark.stats.profile import SCORE, Column, Counts
from modelmark.stats.seasons import DAY, WEEK, long_before

NAME: Final = "drift"
#: A Jensen-Shannon distance that hours do not explain: a machine that is off for all but a quarter of the day, seen while it is
#: on, is at 0.74 from its day as a whole; one that is on for half of it, at 0.56.
FAR: Final = 0.75
#: Share of a window that lies past training's end where a counter goes on.
_AHEAD: Final = 0.5
#: Rows of the window's hours that the table must have.
_LEAST: Final = 100
#: Hours of the cycle that a table must cover before it is believed whatever the hour.
_HOURS: Final = {None: WEEK, Cycle.NONE: 0, Cycle.DAY: DAY, Cycle.WEEK: WEEK}
_NAMED: Final = {24: "day", 48: "working day or weekend", 168: "week"}
_AGO: Final = {DAY: "a day", WEEK: "a week"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a column is compared with. column: its counts are the reference's. said: which rows these are. sure: the season is
    known, or there is none. thin: it is known, and there are too few rows of these hours."""

    column: Column
    said: str
    sure: bool
    thin: bool = False

    @property
    def rows(self) -> int:
        return int(self.column.histogram(self.column.counts).sum())


class Drift:
    """One finding per input and one for the score."""

    name = NAME

    def __init__(self, settings: DriftMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        bases, pairs, found = {}, {}, []
        for name, column in view.reference.columns.items():
            counts = view.profiles.get(name)
            n = 0 if counts is None else int(column.histogram(counts).sum())
            if column.clock or (counts is not None and _goes_on(column, counts)):
                found.append(_clock(view, column, n))
                continue
            basis = self._basis(view, column)
            if counts is None or n < self._settings.min_rows or not column.histogram(column.counts).sum():
                found.append(self._too_few(view, name, n))
            else:
                bases[name], pairs[name] = basis, basis.column.compared(counts)
        rate = self._settings.false_alarm_rate
        for name, measured in drifts(pairs, false_alarm_rate=rate).items():
            basis = bases[name]
            unsure = measured.alarms(self._settings.tolerance) and not basis.sure and measured.low < FAR
            if basis.thin or unsure:
                found.append(self._by_the_past(view, basis, measured, len(pairs)))
            else:
                found.append(self._finding(view, basis, measured))
        return found

    def _basis(self, view: MonitorContext, column: Column) -> Basis:
        """The training table (for the score the holdout), or its rows of the window's hours."""
        cycle, table = self._settings.cycle, "holdout" if column.name == SCORE else "training"
        sure, season = column.hours >= _HOURS[cycle], column.season
        rows = int(column.histogram(column.counts).sum())
        whole = Basis(column=column, said=f"{rows:,} {table} rows", sure=sure)
        if season is None or cycle is Cycle.NONE:
            return whole
        here = replace(whole, column=replace(column, counts=season.during(view.window.start, view.window.end)))
        said = f"{here.rows:,} {table} rows of these hours of the {_NAMED[season.parts]}"
        return replace(here, said=said) if here.rows >= _LEAST else replace(whole, said=said, sure=False, thin=True)

    def _too_few(self, view: MonitorContext, name: str, n: int) -> Finding:
        more = max(self._settings.min_rows - n, 1)
        sentence = f"Cannot tell whether {named(name)} moved: {n:,} rows; about {more:,} more would tell."
        limit = self._settings.tolerance
        return view.finding(NAME, subject_of(name), Outcome.CANNOT_TELL, sentence, n=n, limit=limit, column=True)

    def _by_the_past(self, view: MonitorContext, basis: Basis, measured: Measured, columns: int) -> Finding:
        """The window is unlike the table, whose hours nobody knows, or which has too few of these. It moved if it is unlike the
        same hours of a week ago, or a day, too, or if all that came since is unlike the table."""
        name, window = basis.column.name, view.window
        cycle, least = self._settings.cycle, self._settings.min_rows
        for hours in (WEEK,) if cycle is Cycle.WEEK else (DAY,) if cycle is Cycle.DAY else (WEEK, DAY):
            start, end = long_before(window.start, window.end, hours)
            before = _of(view.observed.profiled(Window(start=start, end=end)), basis.column)
            if before is None or before.rows < least:
                continue
            before = replace(before, said=f"{before.rows:,} rows of these hours {_AGO[hours]} ago")
            same = self._compared(before.column, view.profiles[name], columns)
            lately = _of(view.observed.profiled(Window(start=start, end=window.end)), basis.column) or before
            whole = self._compared(basis.column, lately.column.counts, columns)
            if whole.alarms(self._settings.tolerance) and not same.alarms(self._settings.tolerance):
                all_rows = replace(basis, said=f"{basis.rows:,} rows of all hours")
                return self._finding(view, all_rows, whole, f"all that came since {_AGO[hours]} ago, whatever the hour")
            return self._finding(view, before, same)
        return self._unseasoned(view, basis, measured)

    def _compared(self, column: Column, counts: Counts, columns: int) -> Measured:
        rate = self._settings.false_alarm_rate
        return drift(*column.compared(counts), columns=columns, false_alarm_rate=rate)

    def _unseasoned(self, view: MonitorContext, basis: Basis, measured: Measured) -> Finding:
        long = _AGO[WEEK if self._settings.cycle is Cycle.WEEK else DAY]
        why = (
            f"its hours differ, and there are only {basis.said}"
            if basis.thin
            else f"{_numbers(measured, basis)}, but which hours these rows are of is not known well enough, so it may be the hour"
        )
        sentence = (
            f"Cannot tell whether {named(basis.column.name)} moved: {why}; {long} of traffic would tell, "
            "or monitors.drift.cycle in the contract."
        )
        return self._said(view, basis, measured, Outcome.CANNOT_TELL, sentence)

    def _finding(self, view: MonitorContext, basis: Basis, measured: Measured, span: str = "") -> Finding:
        """span: what was compared, where it is not the window."""
        tolerance = self._settings.tolerance
        alarms = measured.alarms(tolerance)
        said = "moved away from" if alarms else "looks like"
        who = "The score" if basis.column.name == SCORE else named(basis.column.name)
        over = f"; of {span}" if span else ""
        sentence = f"{who} {said} the reference: {_numbers(measured, basis)}{over}; tolerated up to {tolerance:g}."
        return self._said(view, basis, measured, Outcome.ALERT if alarms else Outcome.OK, sentence)

    def _said(self, view: MonitorContext, basis: Basis, measured: Measured, outcome: Outcome, sentence: str) -> Finding:
        return view.finding(
            NAME,
            subject_of(basis.column.name),
            outcome,
            sentence,
            n=measured.n,
            measured=measured.debiased,
            low=measured.low,
            high=measured.high,
            limit=self._settings.tolerance,
            column=True,
        )


def _goes_on(column: Column, counts: Counts) -> bool:
    """Whether what grew along the rows of the table does so still; rows that were merely sorted come back to where they were."""
    return column.counter and column.ahead(counts) > _AHEAD


def _clock(view: MonitorContext, column: Column, n: int) -> Finding:
    why = "at training time it only went forward, so it is bound to leave the reference."
    if column.counter:
        why = (
            "it only grew with the order of rows of the tables and goes on from there, so it is bound to leave the reference; "
            "name in data.time what says when the rows were."
        )
    sentence = f"{named(column.name)} is a clock: {why}"
    return view.finding(NAME, subject_of(column.name), Outcome.OK, sentence, n=n, column=True)


def _of(profile: Mapping[str, Counts], column: Column) -> Basis | None:
    counts = profile.get(column.name)
    return None if counts is None else Basis(column=replace(column, counts=counts), said="", sure=True)


def _numbers(measured: Measured, basis: Basis) -> str:
    return (
        f"Jensen-Shannon distance {measured.debiased:.2f} (95% interval {measured.low:.2f} to {measured.high:.2f}; "
        f"{measured.n:,} rows beside {basis.said})"
    )
