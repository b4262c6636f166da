"""The laws behind behaviour, replay and load, at 2,000 simulations each: python bench/laws/behaviour.py

Prints, per law, the measured rate beside the nominal one.
"""

from __future__ import annotations

import argparse

import numpy as np

from modelmark.gates.load.memory import growth_of
from modelmark.stats.rates import clopper_pearson


def coverage(n: int, share: float, confidence: float, seed: int, times: int) -> float:
    """How often the Clopper-Pearson interval holds the truth."""
    hits = np.random.default_rng(seed).binomial(n, share, times)
    ends = {int(h): clopper_pearson(int(h), n, confidence) for h in set(hits)}
    return float(np.mean([ends[int(h)][0] <= share <= ends[int(h)][1] for h in hits]))


def false_refusals(tests: int, n: int, limit: float, seed: int, times: int) -> float:
    """How often a contract of so many tests, each exactly at its limit, is refused (Bonferroni at 95%)."""
    hits = np.random.default_rng(seed).binomial(n, limit, (times, tests))
    lows = {int(h): clopper_pearson(int(h), n, 1 - 0.05 / tests)[0] for h in np.unique(hits)}
    return float(np.mean([any(lows[int(h)] > limit for h in row) for row in hits]))


def false_leaks(jump: float, seed: int, times: int) -> float:
    """How often steady memory (noise of 0.4 MB a block, one jump) is called a leak of more than 1 KiB a request."""
    rng = np.random.default_rng(seed)
    wrong = 0
    for _ in range(times):
        steps = rng.normal(0, 400_000, 10) + (np.arange(10) == rng.integers(10)) * jump
        wrong += growth_of([0, *np.cumsum(steps).tolist()], [300] * 10).low > 1
    return wrong / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    for n, share in ((30, 0.1), (200, 0.02), (1000, 0.05), (1000, 0.5)):
        print(
            f"Clopper-Pearson n={n} share={share}: covers {coverage(n, share, 0.95, 0, times):.4f}, nominal at least 0.95"
        )
    for tests in (1, 5, 20):
        print(
            f"{tests} tests at their limit of 5%: {false_refusals(tests, 1000, 0.05, 1, times):.4f} refused, at most 0.025"
        )
    for jump in (0, 4_000_000):
        print(f"steady memory, jump {jump}: {false_leaks(jump, 2, times):.4f} called a leak, at most 0.025")


if __name__ == "__main__":
    main()
