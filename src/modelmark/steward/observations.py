"""What the journal and the monitoring store hold of one version in one window, and of what its labels have come for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Final

from modelmark.domain.alerts.recording import journal_fault
from modelmark.domain.contract import Contract
from modelmark.domain.disk import RESERVE, free_bytes
from modelmark.domain.finding import Window
from modelmark.domain.routes import ArmRole
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.answers import answered_scores
from modelmark.journal.tables.arrivals import first_asked, label_hours
from modelmark.journal.tables.cohorts import cohort_sizes
from modelmark.journal.tables.query import labelled, refusals
from modelmark.journal.tables.service import answered, heard
from modelmark.journal.wal.reader import sealed_segments
from modelmark.monitors.arrivals import Arrivals, labels_of, same_phase
from modelmark.monitors.cohort import Cohort, History
from modelmark.monitors.labels import ANSWERED, labelled_predictions, scores_of
from modelmark.monitors.monitor import REQUESTS
from modelmark.stats.metrics import Array, LabelledPredictions
from modelmark.stats.profile import Counts
from modelmark.steward.profiler import MonitoredVersion, Profiler
from modelmark.steward.service import WEEK, Silence, usual_pause

#: How far back labels are looked for where a narrower window cannot tell.
WIDEST: Final = timedelta(days=90)
#: Rows of a window that are judged, drawn at random where there are more; those would not make the interval usefully narrower.
MAX_LABELS: Final = 20_000
#: The same of rows without labels, which are looked at every time.
MAX_SCORES: Final = 5_000


class JournalObservations:
    """Implements `monitors.monitor.Observations`."""

    def __init__(
        self,
        workspace: Workspace,
        profiler: Profiler,
        watched: MonitoredVersion,
        window: Window,
        *,
        came: Window | None = None,
        known_by: datetime | None = None,
    ) -> None:
        """came: as `MonitorContext` has it. known_by: labels that were said later are not known yet; None: all are."""
        self._came, self._known_by = came or window, known_by
        self._workspace = workspace
        self._profiler = profiler
        self._watched = watched
        self._window = window
        self._profiled: dict[Window, Mapping[str, Counts]] = {}

    @cached_property
    def profiles(self) -> Mapping[str, Counts]:
        found = self._profiler.window(self._watched, self._window.start - self._half, self._window.end)
        if self._came == self._window:
            return found
        asked = self._profiler.window(self._watched, self._came.start - self._half, self._came.end)
        return {name: counts for name, counts in {**found, REQUESTS: asked.get(REQUESTS)}.items() if counts is not None}

    @property
    def _half(self) -> timedelta:
        """Of a bucket: one that lies half in the window counts."""
        return self._profiler.bucket(self._watched.contract.monitors) / 2

    def profiled(self, window: Window) -> Mapping[str, Counts]:
        if window not in self._profiled:
            self._profiled[window] = self._profiler.window(self._watched, window.start, window.end)
        return self._profiled[window]

    @cached_property
    def refused(self) -> Mapping[tuple[str, str], int]:
        watched, window = self._watched, self._came
        return refusals(self._workspace, watched.model, window.start, window.end, version=watched.version.hex)

    @cached_property
    def answered(self) -> tuple[int, int]:
        """Requests, and those of them that took longer than agreed."""
        watched, window = self._watched, self._window
        promise = watched.contract.serving.p99_ms
        return answered(
            self._workspace, watched.model, watched.version.hex, window.start, window.end, slower_than=promise
        )

    @cached_property
    def silence(self) -> Silence | None:
        """Of the whole model, so only its champion is asked. None while nobody has asked, and while what came is not in the
        tables yet."""
        if (
            self._watched.arm not in ("", ArmRole.CHAMPION)
            or self._profiler.behind
            or sealed_segments(self._workspace.wal)
        ):
            return None
        if free_bytes(self._workspace) < RESERVE or journal_fault(self._workspace):
            return None  # nothing can be recorded, and an alert of its own says so
        model, now = self._watched.model, self._window.end
        active = self._profiler.active(model, now - 2 * WEEK, now)
        if not active:
            return None
        length = self._window.end - self._window.start
        n, first, last = heard(self._workspace, model, active[-1] - length, now)
        if first is None or last is None:
            return None
        size = self._profiler.bucket(self._watched.contract.monitors)
        seconds = max((last - first).total_seconds(), 1.0)
        return Silence(
            first=active[0], last=last, rate=(n - 1) / seconds, usual=usual_pause(active, last, now, size=size)
        )

    @cached_property
    def history(self) -> History | None:
        contract, end = self._watched.contract, self._window.end - label_delay(self._watched.contract)
        table = labelled(
            self._workspace, self._watched.model, end - WIDEST, end, version=self._watched.version.hex, by="prediction",
            most=MAX_LABELS, known_by=self._known_by,
        )  # fmt: skip
        if not table.num_rows:
            return None
        ordered = table.sort_by([("at", "ascending"), ("id", "ascending"), ("row", "ascending")])
        found = labelled_predictions(contract, ordered)
        if found is None:
            return None
        start, last = (ordered["at"][place].as_py() for place in (0, -1))
        return History(judged=found, start=start, end=last)

    @cached_property
    def scores(self) -> Array | None:
        watched, window = self._watched, self._window
        table = answered_scores(
            self._workspace,
            watched.model,
            watched.version.hex,
            window.start,
            window.end,
            paths=ANSWERED,
            most=MAX_SCORES,
        )
        return scores_of(watched.contract, table)

    @cached_property
    def arrivals(self) -> Arrivals | None:
        model, window, settings = self._watched.model, self._came, self._watched.contract.monitors.volume
        first = self._profiler.first(model)
        if first is None or settings is None or self._profiler.behind or sealed_segments(self._workspace.wal):
            return None
        before = [span for span in same_phase(window, settings.cycle) if span.start >= first]
        end, delay = window.end, label_delay(self._watched.contract)
        hours = label_hours(self._workspace, model, end - 5 * WEEK, end)
        owed = delay > 4 * WEEK  # what was asked so long ago is counted no more
        if hours and not owed:
            last = max(hours[-1][0], end - delay - WEEK)
            owed = bool(self._profiler.active(model, last - delay, end - delay))
        return Arrivals(
            requests=self._profiler.requests(model, window),
            usual=[self._profiler.requests(model, span) for span in before],
            first=first if hours else first_asked(self._workspace, model),
            labels=labels_of(hours, end, owed=owed),
        )

    @cached_property
    def cohorts(self) -> Sequence[Cohort]:
        """As wide as the window, then twice that, and so on until `WIDEST`: up to now, and up to when labels are usually
        late by now."""
        now, delay = self._window.end, label_delay(self._watched.contract)
        recent = self._ending(now, old=not delay)
        return [*recent, *self._ending(now - delay, old=True)] if delay else recent

    def _ending(self, end: datetime, *, old: bool) -> list[Cohort]:
        windows = [Window(start=end - length, end=end) for length in _lengths(self._window.end - self._window.start)]
        sizes = cohort_sizes(
            self._workspace,
            self._watched.model,
            self._watched.version.hex,
            [window.start for window in windows],
            end,
            paths=ANSWERED,
            known_by=self._known_by,
        )
        return [
            Cohort(window=window, rows=size.rows, labels=size.labels, old=old, read=partial(self._read, window))
            for window, size in zip(windows, sizes, strict=False)
        ]

    def _read(self, window: Window) -> LabelledPredictions | None:
        table = labelled(
            self._workspace,
            self._watched.model,
            window.start,
            window.end,
            version=self._watched.version.hex,
            by="prediction",
            most=MAX_LABELS,
            known_by=self._known_by,
        )
        return labelled_predictions(self._watched.contract, table)


def label_delay(contract: Contract) -> timedelta:
    """How long labels usually take; ten years at most, so that it can be reckoned with."""
    return timedelta(hours=min(max(contract.labels.expected_delay_hours or 0.0, 0.0), 87_600.0))


def _lengths(shortest: timedelta) -> list[timedelta]:
    lengths = [shortest]
    while lengths[-1] < WIDEST:
        lengths.append(min(2 * lengths[-1], WIDEST))
    return lengths
