"""How often does the upper end of a root mean squared error lie below the truth, where few errors carry most of it, and how
often the lower end of a gain of nothing above it, or that of an R² above the true one?

Run: python bench/laws/heavy_tails.py. 2.5% is asked. Beside it the ends of the bootstrap alone, as they were.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import exp
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.metrics import Metric, Task
from modelmark.stats.bootstrap import interval
from modelmark.stats.heavy_tails import upper_end
from modelmark.stats.intervals import gain_interval, metric_interval
from modelmark.stats.metrics import LabelledPredictions, statistic

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


def misses(name: str, rows: int, times: int, *, seed: int = 0, resampled: bool = False) -> float:
    """Share of samples whose upper end is below the truth. resampled: by the bootstrap alone."""
    draw, true = ERRORS[name]
    rng, found = np.random.default_rng(seed), 0
    for _ in range(times):
        squares = draw(rng, rows) ** 2
        high = _resampled(squares) if resampled else upper_end(squares, 0.95)
        found += high < true
    return found / times


def gain_misses(name: str, rows: int, times: int, *, seed: int = 0, resampled: bool = False) -> float:
    """Share of samples in which one of two models with errors of one law, half of each shared, seems surely better."""
    draw, _ = ERRORS[name]
    rng, found = np.random.default_rng(seed), 0
    for _ in range(times):
        shared, *own = (draw(rng, rows) * rng.choice((-1.0, 1.0), rows) for _ in range(3))
        ours, theirs = (_regression(shared + each, np.zeros(rows)) for each in own)
        if resampled:
            a, b = statistic(Metric.RMSE, ours), statistic(Metric.RMSE, theirs)
            low = interval(lambda w, a=a, b=b: b(w) - a(w), rows, times=400).low  # type: ignore[misc]
        else:
            low = gain_interval(Metric.RMSE, ours, theirs, 0.95).low
        found += low > 0
    return found / times


def r2_misses(name: str, rows: int, times: int, *, seed: int = 0, resampled: bool = False) -> float:
    """Share of samples whose lower end of R² is above the true one. The signal is normal with the errors' variance times four."""
    draw, square = ERRORS[name]
    rng, found = np.random.default_rng(seed), 0
    for _ in range(times):
        signal = rng.normal(0, 2 * square**0.5, rows)
        judged = _regression(signal, signal + draw(rng, rows) * rng.choice((-1.0, 1.0), rows))
        found += (
            interval(statistic(Metric.R2, judged), rows, times=400)
            if resampled
            else metric_interval(Metric.R2, judged, 0.95, times=400)
        ).low > 0.8
    return found / times


def _regression(said: Array, y_true: Array) -> LabelledPredictions:
    return LabelledPredictions(task=Task.REGRESSION, y_true=y_true, scores=said.reshape(-1, 1))


def _resampled(squares: Array) -> float:
    return interval(lambda w: float(w @ squares / w.sum()), len(squares), times=400).high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=4000, help="simulations of each law; the bootstrap gets a tenth")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    times, seed = options.times, options.seed
    few = max(times // 10, 1)
    for name in ERRORS:
        for rows in (60, 150, 1000):
            ours, theirs = misses(name, rows, times, seed=seed), misses(name, rows, few, seed=seed, resampled=True)
            gains = gain_misses(name, rows, few, seed=seed), gain_misses(name, rows, few, seed=seed, resampled=True)
            r2 = r2_misses(name, rows, few, seed=seed), r2_misses(name, rows, few, seed=seed, resampled=True)
            print(
                f"{name}, {rows:,} rows: misses {ours:.3f}, by the bootstrap alone {theirs:.3f}; gains {gains[0]:.3f}, "
                f"{gains[1]:.3f}; R² {r2[0]:.3f}, {r2[1]:.3f} (asked 0.025)",
                flush=True,
            )


if __name__ == "__main__":
    main()
