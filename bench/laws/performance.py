"""How often does the performance monitor alarm in a quiet month, and how soon does it find a loss?

Run: python bench/laws/performance.py. 60 labels an hour, each hour looked at once; the model is right in 90% of cases, on its
holdout as in production (quiet), or from the first hour on in 80%. The holdout's accuracy is the luck of its own rows.
Beside it what alarms where the holdout's figure counts as known, as it did.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache

import numpy as np

from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.finding import Outcome
from modelmark.domain.metrics import Task
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.monitors.performance import Performance
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.rates import clopper_pearson
from modelmark.testing.monitors import cohort_of, quiet_view

LABELS, HOURS, RIGHT = 60, 24 * 30, 0.9


@cache
def _view() -> MonitorContext:
    return quiet_view(10)


@cache
def alarms(right: int, holdout: int, rows: int, known: bool, tolerance: float) -> bool:
    """Whether an hour with so many right of LABELS alarms, after a holdout with so many right of `rows`."""
    y_true = np.arange(LABELS) % 2
    said = np.where(np.arange(LABELS) < right, y_true, 1 - y_true) * 1.0
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - said, said], axis=1))
    low, high = clopper_pearson(holdout, rows)
    share = holdout / rows
    interval = None if known else Interval(estimate=share, low=low, high=high, n=rows, confidence=0.95)
    observed = Recorded(profiles={}, refused={}, cohorts=(cohort_of(judged),))
    view = replace(_view(), baseline=share, baseline_interval=interval, observed=observed)
    (found,) = Performance(PerformanceMonitor(tolerance=tolerance)).evaluate(view)
    return found.outcome is Outcome.ALERT


def lives(rows: int, times: int, *, right: float = RIGHT, known: bool = False, tolerance: float = 0.05) -> list[int]:
    """The hour of the first alarm of each life, HOURS where there is none."""
    rng, found = np.random.default_rng(0), []
    for holdout in rng.binomial(rows, RIGHT, times):
        hours = (alarms(int(k), int(holdout), rows, known, tolerance) for k in rng.binomial(LABELS, right, HOURS))
        found.append(next((hour for hour, alarm in enumerate(hours) if alarm), HOURS))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000, help="simulated months of each law")
    parser.add_argument("--rows", type=int, nargs="+", default=[150, 500, 5000], help="of the holdout")
    given = parser.parse_args()
    times = given.times
    for rows in given.rows:
        for tolerance in (0.05, 0.025):
            ours, before = (
                float(np.mean([hour < HOURS for hour in lives(rows, times, known=known, tolerance=tolerance)]))
                for known in (False, True)
            )
            worse = lives(rows, times, right=0.8, tolerance=tolerance)
            print(
                f"holdout of {rows:,} rows, tolerance {tolerance:g}: {ours:.3f} of quiet months alarm (as if the holdout were "
                f"known: {before:.3f}); a loss of 10 points is found after {np.median(worse):.0f} h (median)",
                flush=True,
            )


if __name__ == "__main__":
    main()
