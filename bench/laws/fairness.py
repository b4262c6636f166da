"""Do simultaneous intervals of group differences and ratios hold together as often as they say? 2,000 simulations."""

from __future__ import annotations

import argparse

import numpy as np

from modelmark.stats.fairness import RATES, Decided, contrasts, group_rates, group_sums
from modelmark.stats.rates import wilson


def draw(rng: np.random.Generator, rows: int) -> Decided:
    """Three groups of different size and base rate; a score that ranks; decisions at 0.5."""
    group = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    real = rng.random(rows) < np.array([0.3, 0.5, 0.4])[group]
    score = np.clip(0.5 * real + rng.random(rows) * 0.6, 0, 1)
    return Decided(group=group, said=score > 0.5, real=real, score=score)


def missed(decided: Decided, rates: np.ndarray) -> bool:
    """True when any interval of the family misses the truth. rates: (groups, RATES)."""
    for c in contrasts(decided, 3):
        a, b = (rates[k, RATES.index(c.rate)] for k in (c.first, c.second))
        ratio_held = c.rate == "calibration" or c.ratio_low <= a / b <= c.ratio_high
        if not (ratio_held and c.difference_low <= a - b <= c.difference_high):
            return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    rng = np.random.default_rng(0)
    big = 2_000_000
    rates = group_rates(group_sums(draw(rng, big), 3, np.ones((1, big))))[0]
    for rows in (300, 900, 3000):
        misses = sum(missed(draw(rng, rows), rates) for _ in range(times))
        low, high = wilson(times - misses, times)
        print(f"{rows} rows: all hold in {1 - misses / times:.3%} [{low:.3%}, {high:.3%}] of {times:,}; nominal 95%")


if __name__ == "__main__":
    main()
