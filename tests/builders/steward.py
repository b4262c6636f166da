"""A steward over a real SQLite store, and traffic for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from builders.domain import contract, version
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors, PerformanceMonitor
from modelmark.domain.contract import Objective
from modelmark.domain.metrics import Metric
from modelmark.domain.ports import Clock
from modelmark.domain.workspace import Workspace
from modelmark.stats.bootstrap import Interval
from modelmark.stats.profile import reference
from modelmark.steward.job import Job
from modelmark.steward.jobs import builtin
from modelmark.steward.loop import Steward
from modelmark.steward.profiler import MonitoredVersion
from modelmark.steward.serving_versions import ServingVersions
from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.monitoring_store import SqlMonitoringStore

DEAL = contract(
    monitors=Monitors(
        window_minutes=10.0,
        every_seconds=60.0,
        drift=DriftMonitor(cycle=Cycle.NONE),
        performance=PerformanceMonitor(min_labels=20),
    ),
    objective=Objective(metric=Metric.ACCURACY),
)


def watched(baseline: float | None = 0.9) -> MonitoredVersion:
    rng = np.random.default_rng(0)
    train = pd.DataFrame({"age": rng.normal(40, 10, 5000), "job": rng.choice(["a", "b"], 5000)})
    score = rng.beta(2, 2, 2000)
    made = reference(DEAL, train, np.stack([1 - score, score], axis=1))
    known = None if baseline is None else Interval(estimate=baseline, low=baseline, high=baseline, n=0, confidence=0.95)
    return MonitoredVersion(model="loans", version=version().id, contract=DEAL, reference=made, baseline=known)


def traffic(rows: int, *, seed: int = 1, shift: float = 0.0) -> list[tuple[float, str, float]]:
    """(age, job, score) of each row."""
    rng = np.random.default_rng(seed)
    columns = (rng.normal(40 + shift, 10, rows), rng.choice(["a", "b"], rows), rng.beta(2, 2, rows))
    return list(zip(*(column.tolist() for column in columns), strict=True))


def book(root: Path) -> SqlMonitoringStore:
    return SqlMonitoringStore(Database(sqlite_url(root / "state.db")))


def steward(
    root: Path,
    notifier: Any = None,
    serving: Sequence[MonitoredVersion] | None = None,
    left: Sequence[MonitoredVersion] = (),
    clock: Clock = lambda: datetime.max,
    more_jobs: Sequence[Job] = (),
    **more: Any,
) -> Steward:
    chosen = [watched()] if serving is None else serving
    more.setdefault("log", lambda line: None)
    known, kept = ServingVersions(lambda: chosen, lambda now: left), book(root)
    jobs = (*builtin(Workspace(root), kept, known, notifier), *more_jobs)
    return Steward(jobs, known, kept, clock, told=notifier is not None, **more)
