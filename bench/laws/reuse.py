"""How often does the best of fifty versions pass by one holdout, when all of them are truly at the minimum?

Run: python bench/laws/reuse.py. Accuracy on 500 rows at a minimum of 0.8; one after another until one passes. Versions are
independent, or four rows of five are right or wrong in both of two alike. Beside it what passes where nobody counts looks.
"""

from __future__ import annotations

import argparse

import numpy as np

from modelmark.stats.bootstrap import Interval
from modelmark.stats.rates import wilson
from modelmark.stats.reuse import kth_confidence, stretched

VERSIONS, ROWS, MINIMUM = 50, 500, 0.8


def passes(right: int, k: int) -> bool:
    """Whether the k-th version, right in so many rows, is surely at least at the minimum."""
    low, high = wilson(right, ROWS)
    found = Interval(estimate=right / ROWS, low=low, high=high, n=ROWS, confidence=0.95)
    return stretched(found, kth_confidence(0.95, k)).low >= MINIMUM


def one_passes(rng: np.random.Generator, shared: float, *, counted: bool = True) -> bool:
    """shared: share of rows that go alike for every version. counted: whether the k-th must be the surer."""
    common, alone = rng.random(ROWS), rng.random((VERSIONS, ROWS))
    same = rng.random((VERSIONS, ROWS)) < shared
    right = (np.where(same, common, alone) < MINIMUM).sum(axis=1)
    return any(passes(int(hits), k if counted else 1) for k, hits in enumerate(right, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    for shared in (0.0, 0.8**0.5):
        ours, before = (
            float(np.mean([one_passes(np.random.default_rng(seed), shared, counted=counted) for seed in range(times)]))
            for counted in (True, False)
        )
        print(f"correlation {shared**2:.1f}: one of fifty passes {ours:.3f}, uncounted {before:.3f}", flush=True)


if __name__ == "__main__":
    main()
