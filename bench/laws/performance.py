"""How often does the performance monitor alarm in a quiet month, and how soon does it find a loss?

Run: python bench/laws/performance.py. 60 labels an hour, looked at every hour; the model is right in 90% of cases,
on its holdout as in production (quiet), or from the first hour on less often. The holdout's accuracy is the luck of its own rows.
Wider cohorts, up to 256 hours, are looked at where a narrow one cannot tell.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np

from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.finding import Outcome, Window
from modelmark.domain.metrics import Task
from modelmark.monitors.cohort import Cohort
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.monitors.performance import Performance
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.rates import clopper_pearson
from modelmark.testing.monitors import NOON, quiet_view

#: Labels a look, looks of a month, share of right answers.
LABELS, LOOKS, RIGHT = 60, 24 * 30, 0.9


@cache
def _view() -> MonitorContext:
    return quiet_view(10)


@cache
def _judged(labels: int, right: int) -> LabelledPredictions:
    y_true = np.arange(labels) % 2
    said = np.where(np.arange(labels) < right, y_true, 1 - y_true) * 1.0
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - said, said], axis=1))


@cache
def alarms(seen: tuple[tuple[int, int], ...], holdout: int, rows: int, tolerance: float) -> bool:
    """Whether cohorts of so many labels with so many right alarm, after a holdout with so many right of `rows`."""
    low, high = clopper_pearson(holdout, rows)
    share = holdout / rows
    interval = Interval(estimate=share, low=low, high=high, n=rows, confidence=0.95)
    cohorts = [_cohort(i, labels, right) for i, (labels, right) in enumerate(seen)]
    observed = Recorded(profiles={}, refused={}, cohorts=cohorts)
    view = replace(_view(), baseline=share, baseline_interval=interval, observed=observed)
    (found,) = Performance(PerformanceMonitor(tolerance=tolerance)).evaluate(view)
    return found.outcome is Outcome.ALERT


def _cohort(place: int, labels: int, right: int) -> Cohort:
    window = Window(start=NOON - 4**place * timedelta(hours=1), end=NOON)
    return Cohort(window=window, rows=labels, labels=labels, old=True, read=lambda: _judged(labels, right))


def lives(rows: int, times: int, *, right: float = RIGHT, tolerance: float = 0.05, looks: int = LOOKS) -> list[int]:
    """How many labels had come at the first alarm of each life, those of all looks where there is none."""
    rng, found = np.random.default_rng(0), []
    for holdout in map(int, rng.binomial(rows, RIGHT, times)):
        sums = np.r_[0, np.cumsum(rng.binomial(LABELS, right, looks))]
        within = clopper_pearson(holdout, rows)[0] - tolerance  # the holdout's own doubt: what is no worse cannot alarm
        for look in range(1, looks + 1):
            wide = [4**k for k in range(5) if 4**k <= look]
            seen = tuple((w * LABELS, int(sums[look] - sums[look - w])) for w in wide)
            if any(k < within * n for n, k in seen) and alarms(seen, holdout, rows, tolerance):
                break
        found.append(look * LABELS)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=1000, help="simulated months of each law")
    parser.add_argument("--rows", type=int, nargs="+", default=[150, 500, 5000], help="of the holdout")
    parser.add_argument("--looks", type=int, default=LOOKS, help="hours of a life; those of a month")
    given = parser.parse_args()
    looks = given.looks
    times = given.times
    for rows in given.rows:
        for tolerance in (0.05, 0.025):
            quiet = np.mean(
                [labels < LABELS * looks for labels in lives(rows, times, tolerance=tolerance, looks=looks)]
            )
            print(f"holdout of {rows:,} rows, tolerance {tolerance:g}: {quiet:.3f} of quiet months alarm", end="")
            for right in (0.8, 0.7):
                labels = float(
                    np.median(lives(rows, max(times // 8, 1), right=right, tolerance=tolerance, looks=looks))
                )
                never = labels >= LABELS * looks
                print(
                    f"; {right:g} instead of 0.9 is {'not found' if never else f'found after {labels:,.0f} labels'}",
                    end="",
                )
            print(" (median)", flush=True)


if __name__ == "__main__":
    main()
