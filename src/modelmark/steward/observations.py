"""What the journal and the monitoring store hold of one version in one window."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Final

from modelmark.domain.finding import Window
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import labelled, refusals
from modelmark.monitors.labels import labelled_predictions
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.profile import Counts
from modelmark.steward.profiler import MonitoredVersion, Profiler, bucket_seconds

#: Rows of a window that are judged, drawn at random where there are more; those would not make the interval usefully narrower.
MAX_LABELS: Final = 20_000


class JournalObservations:
    """Implements `monitors.monitor.Observations`."""

    def __init__(self, workspace: Workspace, profiler: Profiler, watched: MonitoredVersion, window: Window) -> None:
        self._workspace = workspace
        self._profiler = profiler
        self._watched = watched
        self._window = window

    @cached_property
    def profiles(self) -> Mapping[str, Counts]:
        size = timedelta(seconds=bucket_seconds(self._watched.contract.monitors))
        return self._profiler.window(self._watched, self._window.start - size / 2, self._window.end)

    @cached_property
    def refused(self) -> Mapping[tuple[str, str], int]:
        return refusals(self._workspace, self._watched.model, self._window.start, self._window.end)

    @cached_property
    def labelled(self) -> LabelledPredictions | None:
        table = labelled(
            self._workspace,
            self._watched.model,
            self._window.start,
            self._window.end,
            version=self._watched.version.hex,
            most=MAX_LABELS,
        )
        return labelled_predictions(self._watched.contract, table)
