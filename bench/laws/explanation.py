"""Do the intervals of permutation importance cover, and do sampled Shapley values lie within their standard errors?"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.bootstrap import interval
from modelmark.stats.rates import wilson
from modelmark.stats.shapley import enumerated, sampled

Array = NDArray[np.float64]


def _mean(values: Array, weights: Array) -> float:
    return float(weights @ values / weights.sum())


def importance(times: int) -> int:
    """How often the paired bootstrap holds the expected loss of shuffling: 2 for y = x + noise, squared error."""
    rng, inside = np.random.default_rng(0), 0
    for _ in range(times):
        x, other, noise = rng.normal(size=(3, 200))
        lost = (x + noise - other) ** 2 - noise**2
        found = interval(partial(_mean, lost), 200, times=400)
        inside += found.low <= 2.0 <= found.high
    return inside


def shapley(times: int) -> tuple[int, int]:
    """(how often a sampled value lies within two standard errors of the exact one, of how many)."""
    rng, inside, tried = np.random.default_rng(1), 0, 0
    for seed in range(times):
        rows, back = rng.normal(size=(1, 5)), rng.normal(size=(10, 5))

        def model(x: Array) -> Array:
            return np.asarray(x[:, 0] * x[:, 1] * x[:, 2] + np.sin(x[:, 3] * x[:, 4] * x[:, 0]))

        many = sampled(model, rows, back, permutations=60, seed=seed)
        off = np.abs(many.phi - enumerated(model, rows, back).phi)
        told = many.error > 1e-9
        inside, tried = inside + int((off[told] < 2 * many.error[told]).sum()), tried + int(told.sum())
    return inside, tried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    hits = importance(times)
    low, high = wilson(hits, times)
    print(f"permutation importance: covered {hits / times:.2%} [{low:.2%}, {high:.2%}] of {times:,}; nominal 95%")
    hits, tried = shapley(times // 4)
    low, high = wilson(hits, tried)
    print(f"sampled Shapley: {hits / tried:.2%} [{low:.2%}, {high:.2%}] of {tried:,} within two standard errors")


if __name__ == "__main__":
    main()
