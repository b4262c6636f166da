"""One drill: the copy as it is, then each fault in it, and which of them the contract's monitors find, after how much."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np

from modelmark.domain.errors import NotEnoughData
from modelmark.domain.finding import Outcome
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.progress import Progress
from modelmark.stats.drift import divergence
from modelmark.stats.profile import Reference
from modelmark.steward.drill.faults import FAULTS, Fault, FaultKind, Injected, Mask
from modelmark.steward.drill.looks import Copy, Look, Past, Schedule, walk
from modelmark.steward.drill.traffic import Answers, Ask, Traffic, micros_of
from modelmark.steward.profiler import MonitoredVersion
from modelmark.steward.service import EXPECTED, MIN_REQUESTS
from modelmark.steward.service import NAME as SERVICE

#: Looks at the whole copy; a steward that looks more often finds a fault no later.
MOST_LOOKS: Final = 60
#: A fault that moves less than so many times what the contract tolerates need not be found.
CLEAR: Final = 2.0

_CANNOT: Final = Outcome.CANNOT_TELL

Books = Callable[[], AbstractContextManager[MonitoringStore]]


class DrillOutcome(StrEnum):
    """MISSED: it ought to be found, and was not. UNSEEN: it was not found, and need not be: `why` says so. NOT_TRIED: there is
    nothing to do it to."""

    FOUND = "found"
    MISSED = "missed"
    UNSEEN = "unseen"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrilledFault:
    """columns: that were touched. monitor, subject: what found it first; named: whether an alert named a touched column, or
    nothing was touched. rows, windows, minutes: from the fault's beginning until then; None where it was not found."""

    name: str
    says: str
    columns: tuple[str, ...]
    outcome: DrillOutcome
    why: str = ""
    monitor: str = ""
    subject: str = ""
    sentence: str = ""
    named: bool = False
    rows: int | None = None
    windows: float | None = None
    minutes: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarm:
    """An alert that the copy without any fault raised."""

    at: datetime
    monitor: str
    subjects: tuple[str, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillReport:
    """source: where the copy comes from. rows: of it. fault_at: when each fault begins. looks, every_seconds: of the steward."""

    model: str
    version: str
    label: str
    source: str
    rows: int
    start: datetime
    end: datetime
    fault_at: datetime
    looks: int
    every_seconds: float
    window_minutes: float
    false_alarms: tuple[FalseAlarm, ...]
    faults: tuple[DrilledFault, ...]

    def count(self, outcome: DrillOutcome) -> int:
        return sum(fault.outcome is outcome for fault in self.faults)

    @property
    def sentence(self) -> str:
        found, missed = self.count(DrillOutcome.FOUND), self.count(DrillOutcome.MISSED)
        alarms = len(self.false_alarms)
        quiet = f"the copy without a fault raised {alarms or 'no'} alert{'s' if alarms != 1 else ''}"
        return f"{found} faults found, {missed} missed; {quiet} in {self.looks:,} looks."


@dataclass(frozen=True, slots=True, kw_only=True)
class Drill:
    """ask: the version. books: a store that is thrown away afterwards. past: what was before the copy."""

    watched: MonitoredVersion
    traffic: Traffic
    ask: Ask
    books: Books
    past: Past
    source: str

    def __call__(self, progress: Progress) -> DrillReport:
        """Raises NotEnoughData for a copy that is shorter than two windows."""
        schedule, fault_at = self._schedule()
        answers = self.ask(self.traffic)
        copy = self._copy(self.traffic, answers, schedule)
        with self.books() as book:
            calm = list(walk(copy, schedule, book, self.past))
        ever = frozenset(pair for look in calm for pair in look.standing)
        after = self.traffic.at >= micros_of(fault_at)
        lately = Schedule(
            looks=tuple(at for at in schedule.looks if at >= fault_at - 2 * schedule.every), every=schedule.every
        )
        tried = []
        for i, fault in enumerate(FAULTS):
            progress("drill", i, len(FAULTS))
            tried.append(self._try(fault, after, lately, (ever, answers)))
        progress("drill", len(FAULTS), len(FAULTS))
        watched = self.watched
        return DrillReport(
            model=watched.model, version=str(watched.version), label=watched.label, source=self.source,
            rows=self.traffic.rows, start=self.traffic.start, end=self.traffic.end, fault_at=fault_at,
            looks=len(schedule.looks), every_seconds=schedule.every.total_seconds(),
            window_minutes=watched.contract.monitors.window_minutes, faults=tuple(tried),
            false_alarms=tuple(
                FalseAlarm(at=look.at, monitor=one.monitor, subjects=one.subjects, sentence=one.sentence)
                for look in calm
                for one in look.opened
            ),
        )  # fmt: skip

    def _schedule(self) -> tuple[Schedule, datetime]:
        settings, traffic = self.watched.contract.monitors, self.traffic
        window = timedelta(minutes=settings.window_minutes)
        if traffic.rows < MIN_REQUESTS or traffic.end - traffic.start < 2 * window:
            raise NotEnoughData(
                f"a drill needs two windows of traffic, {2 * settings.window_minutes:g} minutes", code="FEW_ROWS"
            )
        span = traffic.end - traffic.start - window
        every = max(timedelta(seconds=settings.every_seconds), span / MOST_LOOKS)
        first = traffic.start + window
        looks = tuple(first + i * every for i in range(1, int(span / every) + 1))
        return Schedule(looks=looks, every=every), max(first, traffic.start + (traffic.end - traffic.start) / 2)

    def _copy(self, traffic: Traffic, answers: Answers, schedule: Schedule) -> Copy:
        return Copy(self.watched, traffic, answers, schedule, micros_of(self.traffic.start))

    def _try(
        self, fault: Fault, after: Mask, schedule: Schedule, calm: tuple[frozenset[tuple[str, str]], Answers]
    ) -> DrilledFault:
        """calm: what alerts were about in the copy without a fault, and what was answered there."""
        injected = fault.inject(self.traffic, after, self.watched.contract)
        if isinstance(injected, str):
            return DrilledFault(
                name=fault.name, says=fault.says, columns=(), outcome=DrillOutcome.NOT_TRIED, why=injected
            )
        ever, usual = calm
        same = injected.traffic.rows == self.traffic.rows and fault.kind is not FaultKind.INPUTS
        answers = usual if same else self.ask(injected.traffic)
        copy = self._copy(injected.traffic, answers, schedule)
        begun = int(self.traffic.at[after][0])
        looks, told = self._until_told(copy, schedule, (ever, injected.columns, begun))
        if not told:
            why = self._excused(fault, injected, after, answers, looks[-1])
            outcome = DrillOutcome.UNSEEN if why else DrillOutcome.MISSED
            return DrilledFault(
                name=fault.name, says=fault.says, columns=injected.columns, outcome=outcome, why=why or _unsure(looks)
            )
        look, pairs = told[0]
        first = min(pairs, key=lambda pair: (pair[1] not in injected.columns, pair))
        minutes = (micros_of(look.at) - begun) / 60e6
        return DrilledFault(
            name=fault.name, says=fault.says, columns=injected.columns, outcome=DrillOutcome.FOUND, monitor=first[0],
            subject=first[1], sentence=_sentence(look, first),
            named=not injected.columns or any(s in injected.columns for _, found in told for _, s in found),
            rows=int(np.count_nonzero(after & (self.traffic.at < micros_of(look.at)))),
            windows=minutes / self.watched.contract.monitors.window_minutes, minutes=minutes,
        )  # fmt: skip

    def _until_told(
        self, copy: Copy, schedule: Schedule, sought: tuple[frozenset[tuple[str, str]], tuple[str, ...], int]
    ) -> tuple[list[Look], list[tuple[Look, frozenset[tuple[str, str]]]]]:
        """The looks until a touched column is named, or a window after something was told. sought: what was told without the
        fault, the touched columns, and when they were."""
        ever, columns, begun = sought
        looks, told = list[Look](), list[tuple[Look, frozenset[tuple[str, str]]]]()
        window = timedelta(minutes=self.watched.contract.monitors.window_minutes)
        with self.books() as book:
            for look in walk(copy, schedule, book, self.past):
                looks.append(look)
                new = look.standing - ever
                if new and micros_of(look.at) > begun:
                    told.append((look, new))
                named = not columns or any(subject in columns for _, pairs in told for _, subject in pairs)
                if told and (named or look.at - told[0][0].at > window):
                    break
        return looks, told

    def _excused(self, fault: Fault, injected: Injected, after: Mask, answers: Answers, last: Look) -> str:
        """Why it need not be found; empty where it ought to be."""
        traffic, columns = injected.traffic, injected.columns
        settings, rows = self.watched.contract.monitors, int(np.count_nonzero(after))
        if fault.kind is FaultKind.LABELS:
            if settings.performance is None or self.watched.baseline is None:
                return "no performance is watched, or the holdout's is not known"
            labels = int(np.count_nonzero(traffic.labelled_at[after] <= micros_of(traffic.end)))
            few = labels < settings.performance.min_labels
            return (
                f"{labels:,} labels came for rows of that time; min_labels is {settings.performance.min_labels:,}"
                if few
                else ""
            )
        if fault.kind is FaultKind.SERVICE:
            unsure = [
                f.sentence
                for f in last.findings
                if f.monitor == SERVICE and f.subject == "traffic" and f.outcome == _CANNOT
            ]
            if unsure and traffic.rows < self.traffic.rows:
                return unsure[0]
            return "" if rows >= max(MIN_REQUESTS, EXPECTED) else f"{rows:,} rows are too few to tell"
        if settings.drift is None and settings.quality is None:
            return "neither quality nor drift is watched"
        least = settings.drift.min_rows if settings.drift else MIN_REQUESTS
        if rows < least:
            return f"{rows:,} rows are too few to tell; {least:,} would do"
        return (
            ""
            if self._is_clear(columns, after, answers, traffic)
            else "inputs look as they did; only labels could tell"
        )

    def _is_clear(self, columns: tuple[str, ...], after: Mask, answers: Answers, traffic: Traffic) -> bool:
        """Whether what is watched moves by twice what is tolerated: refusals, missing and odd values, or the distance."""
        settings, reference = self.watched.contract.monitors, Reference.from_bytes(self.watched.reference)
        rows = np.count_nonzero(after)
        gone = sum(bool(after[place]) for place in answers.refused)
        if settings.quality and gone / rows > CLEAR * settings.quality.tolerance:
            return True
        for name in columns:
            column = reference.columns[name]
            if column.clock:
                continue
            was, now = (column.tally(one.column(name)[after]) for one in (self.traffic, traffic))
            faulty = [column.missing(now) - column.missing(was), column.outside(now) - column.outside(was)]
            if settings.quality and max(faulty) / rows > CLEAR * settings.quality.tolerance:
                return True
            distance = (
                float(divergence(column.histogram(was).astype(float), column.histogram(now).astype(float))) ** 0.5
            )
            if settings.drift and distance > CLEAR * settings.drift.tolerance:
                return True
        return False


def _sentence(look: Look, pair: tuple[str, str]) -> str:
    said = [finding.sentence for finding in look.findings if (finding.monitor, finding.subject) == pair]
    return said[0] if said else ""


def _unsure(looks: list[Look]) -> str:
    """What monitors could not tell at the last look, the first of it."""
    said = [f.sentence for f in (looks[-1].findings if looks else ()) if f.outcome == _CANNOT]
    return said[0] if said else "every monitor said that all is well"
