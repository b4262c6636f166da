"""How often does the quality monitor alarm on traffic as clean as at training time, and where little comes?

Run: python bench/laws/monitors.py. One input with 2% missing at training time; looks at hours that do not overlap.
Traffic comes as a Poisson count an hour; what is missing is 2% of it (quiet) or 4%, which is just tolerated (at the limit).
Then an input of 400 categories whose shares go with 1 / rank, of which the training table has those that it happened upon:
how often a quiet window alarms, and one in which 15% of the rows have a category that nobody knew.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache

import numpy as np

from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, QualityMonitor
from modelmark.domain.finding import Outcome
from modelmark.monitors.drift import Drift
from modelmark.monitors.monitor import REQUESTS, MonitorContext, Recorded
from modelmark.monitors.quality import Quality
from modelmark.stats.profile import Column, Reference
from modelmark.testing.monitors import quiet_view

AT_TRAINING = np.array([980, 0, 0, 0, 20])


@cache
def _usual() -> MonitorContext:
    view = quiet_view(100)
    columns = dict(view.reference.columns)
    columns["kind"] = replace(columns["kind"], counts=AT_TRAINING)
    return replace(view, reference=replace(view.reference, columns=columns))


@cache
def alarms(rows: int, missing: int) -> bool:
    """Whether an hour of so many rows, of which so many are missing, raises an alert."""
    profiles = {"kind": np.array([rows - missing, 0, 0, 0, missing]), REQUESTS: np.array([rows])}
    view = replace(_usual(), observed=Recorded(profiles=profiles, refused={}))
    return any(f.outcome is Outcome.ALERT for f in Quality(QualityMonitor()).evaluate(view))


def alerts_a_day(an_hour: float, share: float, hours: int, seed: int = 0) -> float:
    """Alerts a day of one input, over so many simulated hours."""
    rng = np.random.default_rng(seed)
    rows = rng.poisson(an_hour, hours)
    return 24 * float(np.mean([alarms(int(n), int(k)) for n, k in zip(rows, rng.binomial(rows, share), strict=True)]))


def rare_categories_alarm(seed: int, *, new: float = 0.0, trained: int = 2000, rows: int = 500) -> bool:
    """Whether quality or drift alarms on categories drawn as the training table's were; new: share that is replaced."""
    rng, kinds = np.random.default_rng(seed), 400
    shares = 1 / np.arange(1, kinds + 1)
    drawn = rng.choice(kinds, trained, p=shares / shares.sum())
    known, counts = np.unique(drawn, return_counts=True)
    values = tuple(map(str, known))
    column = Column("kind", False, np.r_[counts, 0, 0], np.zeros(0), values, closed=True)
    here = rng.choice(kinds, rows, p=shares / shares.sum()).astype(str)
    here[rng.random(rows) < new] = "new"
    view = quiet_view(10)
    found = Reference(rows=trained, columns={**view.reference.columns, "kind": column})
    profiles = {"kind": column.tally(here), REQUESTS: np.array([rows])}
    view = replace(view, reference=found, observed=Recorded(profiles=profiles, refused={}))
    said = [*Quality(QualityMonitor()).evaluate(view), *Drift(DriftMonitor(cycle=Cycle.NONE)).evaluate(view)]
    return any(f.outcome is Outcome.ALERT for f in said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20_000, help="simulated hours of each law")
    hours = parser.parse_args().times
    for an_hour in (2, 10, 100, 1000):
        quiet, limit = (alerts_a_day(an_hour, share, hours) for share in (0.02, 0.04))
        print(f"quality, {an_hour} rows an hour: {quiet:.4f} alerts a day quiet, {limit:.4f} at the limit", flush=True)
    for trained in (300, 2000, 20_000):
        quiet, changed = (
            float(
                np.mean([rare_categories_alarm(seed, new=new, trained=trained) for seed in range(max(hours // 40, 1))])
            )
            for new in (0.0, 0.15)
        )
        print(
            f"rare categories, {trained:,} training rows: {quiet:.3f} of quiet windows alarm, {changed:.3f} of changed ones"
        )


if __name__ == "__main__":
    main()
