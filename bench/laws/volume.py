"""Is traffic that goes up and down with hours, weekdays, holidays and chance left in peace for a year, and half of it missed?

Run: python bench/laws/volume.py. The tests hold a short form.
"""

from __future__ import annotations

import argparse

import numpy as np

from modelmark.monitors.volume import FALSE_ALARM_RATE
from modelmark.stats.watching.volume import ratio

HOURS = 168


def year(rng: np.random.Generator, *, weeks: int = 52, rate: float = 400.0) -> np.ndarray:
    """Requests an hour: a day ten times as busy as its night, a weekend half as busy as a week, hours that vary by a fifth
    beside chance, and a tenth of the days that are holidays at seven tenths. Shape (weeks * 168,)."""
    hour = np.arange(weeks * HOURS)
    daily = 0.1 + 0.9 * np.clip(np.sin((hour % 24 - 6) / 24 * 2 * np.pi), 0, 1)
    weekend = np.where(hour // 24 % 7 >= 5, 0.5, 1.0)
    holiday = np.repeat(np.where(rng.uniform(size=weeks * 7) < 0.1, 0.7, 1.0), 24)
    varies = rng.gamma(25, 1 / 25, len(hour))
    counts: np.ndarray = rng.poisson(rate * daily * weekend * holiday * varies)
    return counts


def told(counts: np.ndarray, at: int, now: int, tolerance: float = 0.5) -> bool:
    """Whether `now` requests in hour `at` are an alert."""
    usual = [int(counts[at - k * HOURS]) for k in range(1, 5) if at >= k * HOURS]
    found = ratio(now, usual, confidence=1 - 2 * FALSE_ALARM_RATE) if len(usual) >= 2 else None
    return found is not None and (found.high < 1 - tolerance or found.low > 1 / (1 - tolerance))


def alarms(seed: int, *, weeks: int = 52, rate: float = 400.0) -> int:
    """Hours of a quiet year that alarm."""
    counts = year(np.random.default_rng(seed), weeks=weeks, rate=rate)
    return sum(told(counts, at, int(counts[at])) for at in range(2 * HOURS, len(counts)))


def found_share(seed: int, times: float, *, rate: float = 400.0) -> float:
    """Of busy hours in which only so many times the requests come, the share that is told."""
    rng = np.random.default_rng(seed)
    counts = year(rng, weeks=8, rate=rate)
    busy = [at for at in range(5 * HOURS, 8 * HOURS) if counts[at] > rate / 2]
    return float(np.mean([told(counts, at, int(rng.poisson(times * counts[at]))) for at in busy]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--years", type=int, default=20)
    years = parser.parse_args().years
    for rate in (4.0, 40.0, 400.0, 40_000.0):
        quiet = [alarms(seed, rate=rate) for seed in range(years)]
        print(f"{rate:g} requests in a busy hour: {np.mean(quiet):.2f} alarms a quiet year, at most {max(quiet)}")
        for times in (0.1, 0.25, 0.4, 4.0):
            share = np.mean([found_share(seed, times, rate=rate) for seed in range(5)])
            print(f"    {times:g} times as many: told in {share:.0%} of the busy hours")


if __name__ == "__main__":
    main()
