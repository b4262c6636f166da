"""How often does the upper end of a root mean squared error lie below the truth, where few errors carry most of it?

Run: python bench/laws/heavy_tails.py. 2.5% is asked. Beside it the end of the bootstrap alone, as it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.bootstrap import interval
from modelmark.stats.heavy_tails import upper_end

Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]

#: name -> (errors, mean of their squares). Squares of t with three degrees have no variance.
ERRORS: Final[dict[str, tuple[Draw, float]]] = {
    "lognormal": (lambda rng, n: rng.lognormal(size=n), exp(2)),
    "t with 3 degrees": (lambda rng, n: rng.standard_t(3, n), 3.0),
    "t with 5 degrees": (lambda rng, n: rng.standard_t(5, n), 5 / 3),
    "normal": (lambda rng, n: rng.normal(size=n), 1.0),
    "uniform": (lambda rng, n: rng.uniform(-1, 1, n), 1 / 3),
}


def misses(name: str, rows: int, times: int, *, resampled: bool = False) -> float:
    """Share of samples whose upper end is below the truth. resampled: by the bootstrap alone."""
    draw, true = ERRORS[name]
    rng, found = np.random.default_rng(0), 0
    for _ in range(times):
        squares = draw(rng, rows) ** 2
        high = _resampled(squares) if resampled else upper_end(squares, 0.95)
        found += high < true
    return found / times


def _resampled(squares: Array) -> float:
    return interval(lambda w: float(w @ squares / w.sum()), len(squares), times=400).high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=4000, help="simulations of each law; the bootstrap gets a tenth")
    times = parser.parse_args().times
    for name in ERRORS:
        for rows in (60, 150, 1000):
            ours, theirs = misses(name, rows, times), misses(name, rows, max(times // 10, 1), resampled=True)
            print(
                f"{name}, {rows:,} rows: misses {ours:.3f}, by the bootstrap alone {theirs:.3f} (asked 0.025)",
                flush=True,
            )


if __name__ == "__main__":
    main()
