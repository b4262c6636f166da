"""How often does the quality monitor alarm on traffic as clean as at training time, and where little comes?

Run: python bench/laws/monitors.py. One input with 2% missing at training time; looks at hours that do not overlap.
Traffic comes as a Poisson count an hour; what is missing is 2% of it (quiet) or 4%, which is just tolerated (at the limit).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import cache

import numpy as np

from modelmark.domain.catalogue.monitor_settings import QualityMonitor
from modelmark.domain.finding import Outcome
from modelmark.monitors.monitor import REQUESTS, MonitorContext, Recorded
from modelmark.monitors.quality import Quality
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20_000, help="simulated hours of each law")
    hours = parser.parse_args().times
    for an_hour in (2, 10, 100, 1000):
        quiet, limit = (alerts_a_day(an_hour, share, hours) for share in (0.02, 0.04))
        print(f"quality, {an_hour} rows an hour: {quiet:.4f} alerts a day quiet, {limit:.4f} at the limit", flush=True)


if __name__ == "__main__":
    main()
