"""A table of history through a version, as fast as the machine goes: what its monitors would have alarmed, when, and how often
people would have been called."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Final

from modelmark.app.past_rows import Past, When, write_past
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Rejected
from modelmark.domain.finding import Alert
from modelmark.domain.ports import ArtifactStore, MonitoringStore
from modelmark.domain.progress import Progress
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.serving.models import load_candidate
from modelmark.steward.alerts import tell
from modelmark.steward.looks import Looks
from modelmark.steward.profiler import MonitoredVersion, Profiler

#: So many looks a window, where nothing else is asked: a live steward looks more often, and finds a change that much sooner.
LOOKS_A_WINDOW: Final = 4
#: More looks than that are hours of work.
MOST_LOOKS: Final = 100_000
#: Findings of so many looks are kept.
SWEEP: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAlert:
    """As it would have been. until: None where it was still open when the history ended. columns: those that moved together."""

    monitor: str
    subject: str
    columns: tuple[str, ...]
    since: datetime
    until: datetime | None
    sentence: str
    came_back: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastWatch:
    """What one set of settings would have said. name: of the settings. looks: how many, one every so often. alerts: first to
    last. messages: those about alerts that opened, closed or came back. a_month: alerts in thirty days. open_hours: in which one
    was open. outcomes: of all findings, by monitor. failed: monitors that could not evaluate, with why."""

    name: str
    settings: Monitors
    looks: int
    every: timedelta
    alerts: tuple[PastAlert, ...]
    messages: int
    a_month: float
    open_hours: float
    outcomes: Mapping[str, Mapping[str, int]]
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """rows: answered. labels: of them. refused: rows without an answer, and labels that are none, by reason. seconds: it took."""

    model: str
    version: Digest
    label: str
    table: str
    rows: int
    labels: int
    refused: Mapping[str, int]
    start: datetime
    end: datetime
    watches: tuple[PastWatch, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """watched: a version as its monitors know it. store: a monitoring store of its own at a place. Nothing of it enters the
    workspace."""

    artifacts: ArtifactStore
    watched: Callable[[Digest], MonitoredVersion]
    store: Callable[[Path], MonitoringStore]

    def __call__(
        self,
        version: Version,
        table: Path,
        when: When,
        *,
        settings: Sequence[tuple[str, Monitors]] = (),
        every: timedelta | None = None,
        progress: Progress,
    ) -> Backfilled:
        """settings: to be compared, by name; none: the contract's. every: how often is looked; None: `LOOKS_A_WINDOW`.

        Raises as `write_past`; Rejected where no row was answered (NOTHING_ANSWERED) or there would be too many looks
        (TOO_MANY_LOOKS).
        """
        started = perf_counter()
        loaded, watched = load_candidate(self.artifacts.folder(version.id), version.id), self.watched(version.id)
        with tempfile.TemporaryDirectory(prefix="modelmark-backfill-") as place:
            workspace = Workspace(Path(place))
            past = write_past(workspace, loaded, table, when, progress)
            if not past.rows:
                why = ", ".join(f"{reason} {n:,}" for reason, n in past.refused.most_common(3))
                raise Rejected(
                    f"no row was answered: {why}", code="NOTHING_ANSWERED", field="TABLE", limit="one row at least"
                )
            watches = []
            for number, (name, monitors) in enumerate(settings or [("contract", watched.contract.monitors)]):
                chosen = replace(watched, contract=replace(watched.contract, monitors=monitors))
                times = _Times.of(past, monitors, every)
                store = self.store(Path(place) / f"watch-{number}.db")
                watches.append(_watch(name, chosen, workspace, store, times, progress))
        start, end = (datetime.fromtimestamp(at, UTC) for at in (past.first, past.last))
        return Backfilled(
            model=version.model, version=version.id, label=version.label, table=str(table), rows=past.rows,
            labels=past.labels, refused=dict(+past.refused), start=start, end=end, watches=tuple(watches),
            seconds=perf_counter() - started,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Times:
    """When is looked: from the first whole window on, or where there is none once, up to the last row and never behind
    it: windows there would only seem to lose their traffic."""

    start: datetime
    end: datetime
    every: timedelta
    count: int

    @classmethod
    def of(cls, past: Past, monitors: Monitors, every: timedelta | None) -> _Times:
        window = timedelta(minutes=monitors.window_minutes)
        step = every or max(window / LOOKS_A_WINDOW, timedelta(seconds=monitors.every_seconds))
        seconds = step.total_seconds()
        end, length = past.last // seconds * seconds, window.total_seconds()
        if end - past.first < length:
            end += seconds
        last = datetime.fromtimestamp(end, UTC)
        count = max(0, int((end - past.first - length) // seconds)) + 1
        first = last - (count - 1) * step
        if count > MOST_LOOKS:
            raise Rejected(
                f"{count:,} looks are too many", code="TOO_MANY_LOOKS", field="--every-minutes", limit=f"{MOST_LOOKS:,}",
                hint=f"{seconds * count / MOST_LOOKS / 60:,.0f} minutes or more make fewer",
            )  # fmt: skip
        return cls(first, last, step, count)

    def __iter__(self) -> Iterator[datetime]:
        return (self.start + number * self.every for number in range(self.count))


def _watch(
    name: str,
    watched: MonitoredVersion,
    workspace: Workspace,
    store: MonitoringStore,
    times: _Times,
    progress: Progress,
) -> PastWatch:  # fmt: skip
    profiler = Profiler(workspace, store, bucket=times.every)
    profiler.watch(watched)
    while profiler.step().behind:
        pass
    looks, outcomes, failed = Looks(workspace, profiler), dict[str, Counter[str]](), dict[str, None]()
    step = f"watch with {name}"
    for number, now in enumerate(times):
        view = looks.view(watched, now, known_by=now)
        found = looks.findings(watched, view, lambda fault: failed.setdefault(fault.sentence))
        for finding in found:
            outcomes.setdefault(finding.monitor, Counter())[finding.outcome.value] += 1
        idle = {watched.version} if not view.rows else set[Digest]()
        with store.transaction():
            store.add_findings(found)
            tell(store, found, now, every=times.every, queue=True, idle=idle)
            if number % SWEEP == 0:
                store.drop_findings(view.window.start - times.every * SWEEP)
        progress(step, number, times.count)
    progress(step, times.count, times.count)
    alerts = sorted(store.alerts(limit=10_000), key=lambda alert: (alert.opened_at, alert.id))
    days = max((times.end - times.start) / timedelta(days=1), 1e-9)
    return PastWatch(
        name=name, settings=watched.contract.monitors, looks=times.count, every=times.every,
        alerts=tuple(map(_alert, alerts)), messages=len(store.deliveries("")), a_month=len(alerts) * 30 / days,
        open_hours=_open_hours(alerts, times.end), outcomes={k: dict(v) for k, v in outcomes.items()}, failed=tuple(failed),
    )  # fmt: skip


def _alert(alert: Alert) -> PastAlert:
    return PastAlert(
        monitor=alert.monitor, subject=alert.subject, columns=alert.subjects, since=alert.opened_at, until=alert.closed_at,
        sentence=alert.sentence, came_back=alert.details.reopened,
    )  # fmt: skip


def _open_hours(alerts: Sequence[Alert], end: datetime) -> float:
    """In which at least one was open."""
    total, until = 0.0, datetime.min.replace(tzinfo=UTC)
    for alert in alerts:
        start, over = max(alert.opened_at, until), alert.closed_at or end
        total += max(0.0, (over - start).total_seconds()) / 3600
        until = max(until, over)
    return total
