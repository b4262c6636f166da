"""Are values of real tails left in peace, and values that cannot be found, by bounds learnt from tables of many shapes?

Run: python bench/laws/plausible.py. The tests hold a short form.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from modelmark.stats.watching.plausible import ENDLESS, beyond, plausible_bounds

Draw = Callable[[np.random.Generator, int], np.ndarray]
#: Shapes that real columns have, heavy ones among them.
SHAPES: Final[Mapping[str, Draw]] = {
    "normal": lambda rng, n: rng.normal(1013, 8, n),
    "uniform": lambda rng, n: rng.uniform(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n),
    "lognormal": lambda rng, n: rng.lognormal(0, 1, n),
    "wide lognormal": lambda rng, n: rng.lognormal(0, 2, n),
    "Pareto 1.5": lambda rng, n: rng.pareto(1.5, n),
    "Pareto 0.8": lambda rng, n: rng.pareto(0.8, n),
    "Student 3": lambda rng, n: rng.standard_t(3, n),
    "Cauchy": lambda rng, n: rng.standard_cauchy(n),
    "gamma 0.1": lambda rng, n: rng.gamma(0.1, 1, n),
    "Weibull 0.5": lambda rng, n: rng.weibull(0.5, n),
    "Poisson": lambda rng, n: rng.poisson(2, n).astype(float),
    "seldom a count": lambda rng, n: rng.poisson(0.05, n).astype(float),
    "mostly zero": lambda rng, n: np.where(rng.uniform(size=n) < 0.05, rng.lognormal(7, 1, n), 0.0),
    "rounded": lambda rng, n: np.round(rng.normal(0, 0.4, n)),
}


def false_flags(shape: str, rows: int, *, tables: int, fresh: int = 100_000, seed: int = 0) -> float:
    """Of fresh values the share that is called impossible, over so many training tables of so many rows."""
    rng, hits = np.random.default_rng(seed), 0
    for _ in range(tables):
        bounds = plausible_bounds(SHAPES[shape](rng, rows)) or ENDLESS
        hits += beyond(SHAPES[shape](rng, fresh), bounds)
    return hits / (tables * fresh)


def found(rows: int, *, wrong: int, seed: int = 0) -> bool:
    """Whether a pressure of 5,500 is outside, where so many rows of the training table have it as well."""
    rng = np.random.default_rng(seed)
    values = SHAPES["normal"](rng, rows)
    values[:wrong] = 5500
    return beyond(np.array([5500.0]), plausible_bounds(values) or ENDLESS) == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=100)
    tables = parser.parse_args().tables
    for shape in SHAPES:
        shares = [f"{false_flags(shape, rows, tables=tables):.1e}" for rows in (500, 1_000, 10_000)]
        print(f"{shape:>16}: called impossible {', '.join(shares)} of fresh values, after 500, 1,000, 10,000 rows")
    for wrong in (0, 2, 5):
        hit = np.mean([found(18_000, wrong=wrong, seed=seed) for seed in range(tables)])
        print(f"pressure 5,500, {wrong} such among 18,000 training rows: found in {hit:.0%} of tables")


if __name__ == "__main__":
    main()
