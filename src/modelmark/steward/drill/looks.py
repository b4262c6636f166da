"""What a steward would see of a copy of traffic, look by look: the contract's monitors, and alerts as it opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Contract
from modelmark.domain.finding import Alert, Finding, Window
from modelmark.domain.metrics import Task
from modelmark.domain.ports import MonitoringStore
from modelmark.journal.tables.schema import input_columns
from modelmark.monitors import enabled
from modelmark.monitors.cohort import Cohort, History
from modelmark.monitors.labels import ANSWERED, labelled_predictions, scores_of
from modelmark.monitors.monitor import REQUESTS, MonitorContext
from modelmark.stats.metrics import Array, LabelledPredictions
from modelmark.stats.profile import SCORE, Counts, Reference, merge, tally
from modelmark.steward import service
from modelmark.steward.alerts import tell
from modelmark.steward.drill.traffic import Answers, Traffic, micros_of, moment
from modelmark.steward.observations import MAX_LABELS, MAX_SCORES, WIDEST, label_delay
from modelmark.steward.profiler import MonitoredVersion, bucket_seconds
from modelmark.steward.service import WEEK, Silence, usual_pause
from modelmark.steward.stories import MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What was recorded before the copy begins. profile: of a span of time. active: when anybody asked the model in one, oldest
    first, as `Profiler.active` has it."""

    profile: Callable[[datetime, datetime], Mapping[str, Counts]] = lambda start, end: {}
    active: Callable[[datetime, datetime], Sequence[datetime]] = lambda start, end: ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """looks: when. every: between two of them. slot: how finely rows are counted, in microseconds."""

    looks: tuple[datetime, ...]
    every: timedelta

    @property
    def slot(self) -> int:
        return max(1, self.every // timedelta(microseconds=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look found. standing: (monitor, subject) of everything that alerts are open about."""

    at: datetime
    standing: frozenset[tuple[str, str]]
    opened: tuple[Alert, ...]
    findings: tuple[Finding, ...] = field(repr=False, default=())


class Copy:
    """Answered traffic, counted by slots, so that a window costs what it has slots."""

    def __init__(
        self, watched: MonitoredVersion, traffic: Traffic, answers: Answers, schedule: Schedule, start: int
    ) -> None:
        """start: microseconds since the epoch, where slots begin."""
        self.watched, self.traffic, self.answers = watched, traffic, answers
        self.reference = Reference.from_bytes(watched.reference)
        self.at = traffic.at[answers.place]
        self._start, self._slot = start, schedule.slot
        slots = (self.at - start) // schedule.slot
        self._counts: dict[int, dict[str, Counts]] = {}
        columns = _columns(watched.contract)
        first = np.zeros(len(self.at), np.bool_)
        first[np.unique(traffic.request[answers.place], return_index=True)[1]] = True
        self.first = first
        for slot in np.unique(slots):
            mine = np.flatnonzero(slots == slot)
            counts = tally(self.reference, answers.table.take(mine), columns)
            counts[REQUESTS] = np.array([np.count_nonzero(first[mine])], dtype=np.int64)
            self._counts[int(slot)] = counts

    def profile(self, start: datetime, end: datetime) -> dict[str, Counts]:
        low, high = ((micros_of(at) - self._start) // self._slot for at in (start, end))
        found: dict[str, Counts] = {}
        for slot in sorted(self._counts):
            if low <= slot < high:
                found = merge(found, self._counts[slot])
        return found

    @cached_property
    def refusals(self) -> tuple[NDArray[np.int64], list[tuple[str, str]]]:
        """When requests were refused and why, each once."""
        seen: dict[int, tuple[int, tuple[str, str]]] = {}
        for place, why in sorted(self.answers.refused.items()):
            seen.setdefault(int(self.traffic.request[place]), (int(self.traffic.at[place]), why))
        return np.array([at for at, _ in seen.values()], np.int64), [why for _, why in seen.values()]

    def refused(self, start: datetime, end: datetime) -> dict[tuple[str, str], int]:
        at, why = self.refusals
        found: dict[tuple[str, str], int] = {}
        for i in np.flatnonzero((at >= micros_of(start)) & (at < micros_of(end))):
            found[why[i]] = found.get(why[i], 0) + 1
        return found

    def between(self, start: datetime, end: datetime) -> NDArray[np.int64]:
        """Answered rows of [start, end)."""
        low, high = np.searchsorted(self.at, [micros_of(start), micros_of(end)])
        return np.arange(low, high)

    def cohort(self, window: Window, now: datetime, *, old: bool) -> Cohort:
        """The model's own answers in it, and the labels that have come for them by now."""
        mine = self.between(window.start, window.end)
        mine = mine[np.isin(self._paths[mine], ANSWERED)]
        with_label = mine[self.traffic.labelled_at[self.answers.place[mine]] <= micros_of(now)]
        return Cohort(
            window=window, rows=len(mine), labels=len(with_label), old=old, read=partial(self._labelled, with_label)
        )

    def history(self, end: datetime, now: datetime) -> History | None:
        """The copy's labels that have come by now, of rows before `end`."""
        mine = np.flatnonzero((self.at < micros_of(end)) & np.isin(self._paths, ANSWERED))
        mine = mine[self.traffic.labelled_at[self.answers.place[mine]] <= micros_of(now)]
        judged = self._labelled(mine) if len(mine) else None
        if judged is None:
            return None
        return History(judged=judged, start=moment(int(self.at[mine[0]])), end=moment(int(self.at[mine[-1]])))

    def scores(self, window: Window) -> Array | None:
        """What the model answered in a window."""
        mine = self.between(window.start, window.end)
        mine = mine[np.isin(self._paths[mine], ANSWERED)]
        if len(mine) > MAX_SCORES:
            mine = np.sort(np.random.default_rng(0).choice(mine, MAX_SCORES, replace=False))
        return scores_of(self.watched.contract, self.answers.table.take(mine)) if len(mine) else None

    @cached_property
    def _paths(self) -> NDArray[np.str_]:
        return np.array(self.answers.table["path"].to_pylist(), dtype=np.str_)

    def _labelled(self, chosen: NDArray[np.int64]) -> LabelledPredictions | None:
        import pyarrow as pa

        n = len(chosen)
        if n > MAX_LABELS:
            chosen = np.sort(np.random.default_rng(0).choice(chosen, MAX_LABELS, replace=False))
        places, table = self.answers.place[chosen], self.answers.table.take(chosen)
        labels = pa.array([None if one is None else str(one) for one in self.traffic.label[places]], pa.string())
        table = table.append_column("label", labels)
        table = table.append_column("label_value", pa.array(self.traffic.label_value[places], from_pandas=True))
        table = table.append_column("drawn_from", pa.array(np.full(len(chosen), n)))
        requests = pa.array([str(one) for one in self.traffic.request[places]], pa.string())
        table = table.set_column(table.column_names.index("id"), "id", requests)
        return labelled_predictions(self.watched.contract, table)


class CopiedObservations:
    """Implements `monitors.monitor.Observations` over a copy."""

    def __init__(self, copy: Copy, window: Window, past: Past) -> None:
        self._copy, self._window, self._past = copy, window, past

    @cached_property
    def profiles(self) -> Mapping[str, Counts]:
        return self._copy.profile(self._window.start, self._window.end)

    def profiled(self, window: Window) -> Mapping[str, Counts]:
        begins = self._copy.traffic.start if self._copy.traffic.rows else window.end
        earlier = self._past.profile(window.start, min(window.end, begins)) if window.start < begins else {}
        return merge(earlier, self._copy.profile(window.start, window.end))

    @cached_property
    def refused(self) -> Mapping[tuple[str, str], int]:
        return self._copy.refused(self._window.start, self._window.end)

    @property
    def arrivals(self) -> None:
        """What usually comes is not part of a copy."""
        return None

    @cached_property
    def history(self) -> History | None:
        copy, now = self._copy, self._window.end
        return copy.history(now - label_delay(copy.watched.contract), now)

    @cached_property
    def scores(self) -> Array | None:
        return self._copy.scores(self._window)

    @cached_property
    def cohorts(self) -> Sequence[Cohort]:
        now, delay = self._window.end, label_delay(self._copy.watched.contract)
        recent = self._ending(now, old=not delay)
        return [*recent, *self._ending(now - delay, old=True)] if delay else recent

    def _ending(self, end: datetime, *, old: bool) -> list[Cohort]:
        """As wide as the window, then twice that, until all of the copy is in it."""
        length, begins, found = self._window.end - self._window.start, self._copy.traffic.start, list[Cohort]()
        while True:
            found.append(self._copy.cohort(Window(start=end - length, end=end), self._window.end, old=old))
            if end - length <= begins or length >= WIDEST:
                return found
            length = min(2 * length, WIDEST)


def walk(copy: Copy, schedule: Schedule, book: MonitoringStore, past: Past) -> Iterator[Look]:
    """Every look of the schedule, in order, with alerts kept in `book`, which is nobody's."""
    for now in schedule.looks:
        view = _view(copy, now, past)
        findings = [f for monitor in enabled(copy.watched.contract.monitors) for f in monitor.evaluate(view)]
        findings += _service(copy, view, past)
        findings = [replace(f, label=copy.watched.label, arm=copy.watched.arm) for f in findings]
        idle = {copy.watched.version} if not view.requests and not view.refused else set()
        opened = tell(book, findings, now, every=schedule.every, queue=False, idle=idle)
        open_now = book.alerts(open_only=True, limit=MANY)
        standing = frozenset((alert.monitor, subject) for alert in open_now for subject in alert.subjects)
        yield Look(at=now, standing=standing, opened=tuple(opened), findings=tuple(findings))


def _view(copy: Copy, now: datetime, past: Past) -> MonitorContext:
    watched = copy.watched
    window = Window(start=now - timedelta(minutes=watched.contract.monitors.window_minutes), end=now)
    return MonitorContext(
        model=watched.model,
        version=watched.version,
        contract=watched.contract,
        reference=copy.reference,
        window=window,
        observed=CopiedObservations(copy, window, past),
        baseline=watched.baseline.estimate if watched.baseline else None,
        baseline_interval=watched.baseline,
        now=now,
    )


def _service(copy: Copy, view: MonitorContext, past: Past) -> list[Finding]:
    mine = copy.between(view.window.start, view.window.end)
    mine = mine[copy.first[mine]]
    micros = copy.traffic.micros[copy.answers.place[mine]]
    slow = int(np.count_nonzero(micros > 1000 * view.contract.serving.p99_ms))
    every = timedelta(seconds=view.contract.monitors.every_seconds)
    return service.evaluate(view, requests=len(mine), slow=slow, silence=_silence(copy, view, past), every=every)


def _silence(copy: Copy, view: MonitorContext, past: Past) -> Silence | None:
    """As `JournalObservations.silence` has it."""
    asked = copy.first & (
        copy.traffic.micros[copy.answers.place] > 0
    )  # rows of a table that was answered whole are no callers
    heard = copy.at[asked & (copy.at < micros_of(view.now))]
    if not len(heard):
        return None
    size = bucket_seconds(view.contract.monitors) * 1_000_000
    earlier = past.active(view.now - 2 * WEEK, copy.traffic.start)
    active = [*earlier, *(moment(int(bucket) * size) for bucket in np.unique(heard // size))]
    length = micros_of(view.window.end) - micros_of(view.window.start)
    lately = heard[heard >= micros_of(active[-1]) - length]
    refused = copy.refusals[0][copy.refusals[0] < micros_of(view.now)]
    first, last = moment(int(lately[0])), moment(int(max([lately[-1], *refused[-1:]])))
    seconds = max((last - first).total_seconds(), 1.0)
    pause = usual_pause(active, last, view.now, size=timedelta(microseconds=size))
    return Silence(first=active[0], last=last, rate=(len(lately) - 1) / seconds, usual=pause)


def _columns(contract: Contract) -> dict[str, str]:
    named = input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])
    return {**named, SCORE: "value" if contract.model.task is Task.REGRESSION else "score"}
