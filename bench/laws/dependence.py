"""Do intervals cover where rows follow from one another in time, or come in few clusters? 95% is asked.

Run: python bench/laws/dependence.py. AR(r): each value is r times the one before and a normal error; a mean is measured.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.bootstrap import interval
from modelmark.stats.dependence import stretches

Array = NDArray[np.float64]
#: (r, rows), the hardest first.
SERIES: Final = ((0.97, 1000), (0.9, 1000), (0.8, 300), (0.5, 100), (0.0, 1000))


def following(rng: np.random.Generator, r: float, rows: int) -> Array:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1.0, -r], rng.normal(size=rows + 500))[500:], dtype=np.float64)


def covers(values: Array, units: NDArray[np.int64], times: int) -> bool:
    """Whether the interval of the mean holds 0."""
    found = interval(lambda w: float(w @ values / w.sum()), len(values), units=units, times=times)
    return found.low <= 0 <= found.high


def in_time(r: float, rows: int) -> Callable[[np.random.Generator], bool]:
    def holds(rng: np.random.Generator) -> bool:
        values = following(rng, r, rows)
        return covers(values, stretches(values), 400)

    return holds


def in_clusters(count: int, each: int = 20) -> Callable[[np.random.Generator], bool]:
    def holds(rng: np.random.Generator) -> bool:
        units = np.repeat(np.arange(count), each)
        return covers(rng.normal(size=count)[units] + rng.normal(0, 0.5, count * each), units, 400)

    return holds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    laws = [(f"AR({r}), {rows:,} rows", in_time(r, rows)) for r, rows in SERIES]
    laws += [(f"{count} clusters of 20 rows", in_clusters(count)) for count in (5, 10, 39, 60)]
    for name, holds in laws:
        rng, started = np.random.default_rng(0), time.perf_counter()
        share = sum(holds(rng) for _ in range(times)) / times
        seconds = time.perf_counter() - started
        print(f"{name:<24} covers {share:.3f} (asked 0.95; {times:,} trials, {seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
