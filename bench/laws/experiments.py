"""Experiments read again and again: how often their bounds are ever wrong, and how often a right sample ratio is doubted.

Units have one to many requests each, so that a ratio of sums is what is compared; a covariate from before is correlated with
what they do. Every law is looked at `--looks` times as units come, from the first 100 of each arm on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from multiprocessing import Pool
from time import perf_counter

import numpy as np

from modelmark.stats.experiments.effects import Effect, bounds, effect
from modelmark.stats.experiments.moments import Moments, moments
from modelmark.stats.experiments.sample_ratio import log_e_value

ALPHA = 0.05
AIM = 0.05


@dataclass(frozen=True)
class World:
    """arms: the control among them. units: of each arm. correlation: of what a unit does with its covariate."""

    arms: int = 2
    units: int = 4_000
    looks: int = 100
    correlation: float = 0.0
    effect: float = 0.0


def looks(world: World, seed: int) -> list[list[Moments]]:
    """Of each look every arm's moments, of the units that had come by then."""
    draw = np.random.default_rng(seed)
    sizes = np.unique(np.geomspace(100, world.units, world.looks).astype(int))
    found: list[list[Moments]] = [[] for _ in sizes]
    for arm in range(world.arms):
        y = draw.geometric(0.25, world.units).astype(float)
        c = draw.normal(size=world.units)
        rate = 1 + (world.effect if arm else 0.0) + world.correlation * c
        x = rate * y + (1 - world.correlation**2) ** 0.5 * draw.normal(size=world.units) * np.sqrt(y)
        for look, size in zip(found, sizes, strict=True):
            look.append(moments(x[:size], y[:size], c[:size] if world.correlation else 0.0))
    return found


def ever_wrong(world: World, seed: int) -> bool:
    """Whether any look's interval of any arm against the control ever leaves the truth out."""
    part = ALPHA / (2 * (world.arms - 1))
    for control, *treated in looks(world, seed):
        for arm in treated:
            found = effect([control], [arm])
            if isinstance(found, Effect):
                low, high = bounds(found, alpha=part, aim=AIM)
                if not low <= world.effect <= high:
                    return True
    return False


def fixed_wrong(world: World, seed: int) -> bool:
    """The same, read by a test that is made for one look."""
    for control, *treated in looks(world, seed):
        for arm in treated:
            found = effect([control], [arm])
            if isinstance(found, Effect) and abs(found.estimate - world.effect) > 1.96 * found.variance**0.5:
                return True
    return False


def ratio_doubted(shares: Sequence[float], alpha: float, units: int, seed: int) -> bool:
    """Whether the test of sample ratios, asked after every 20 units, ever doubts shares that are right."""
    draw = np.random.default_rng(seed)
    counts = np.cumsum(draw.multinomial(20, shares, units // 20), axis=0)
    return any(log_e_value(list(map(int, row)), shares) >= log(1 / alpha) for row in counts)


def ratio_found(shares: Sequence[float], really: Sequence[float], alpha: float, units: int, seed: int) -> int | None:
    """The units after which wrong shares are doubted; None where they never are."""
    draw = np.random.default_rng(seed)
    counts = np.cumsum(draw.multinomial(20, really, units // 20), axis=0)
    for row in counts:
        if log_e_value(list(map(int, row)), shares) >= log(1 / alpha):
            return int(row.sum())
    return None


def cut(correlation: float, seed: int) -> float:
    """The share of the variance that the covariate takes away."""
    control, treated = looks(World(correlation=correlation, looks=1), seed)[-1]
    found = effect([control], [treated])
    assert isinstance(found, Effect)
    return found.cut


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="experiments of each law")
    parser.add_argument("--looks", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    times = range(given.times)
    with Pool(given.processes) as pool:
        for what, world in (
            ("A/A", World(looks=given.looks)),
            ("A/B with an effect", World(looks=given.looks, effect=0.05)),
            ("A/B, covariate of correlation 0.7", World(looks=given.looks, effect=0.05, correlation=0.7)),
            ("A/A/A/A", World(looks=given.looks, arms=4)),
        ):
            begun = perf_counter()
            wrong = sum(pool.map(partial(ever_wrong, world), times, chunksize=8)) / given.times
            fixed = sum(pool.map(partial(fixed_wrong, world), times, chunksize=8)) / given.times
            print(
                f"{what}: an interval is ever wrong in {wrong:.2%} of {given.times:,} at {given.looks} looks; at most 5% asked "
                f"(a test made for one look: {fixed:.1%}; {perf_counter() - begun:.0f} s)"
            )
        for shares in ((0.5, 0.5), (0.9, 0.05, 0.05)):
            doubted = sum(pool.map(partial(ratio_doubted, shares, 0.01, 10_000), times, chunksize=8)) / given.times
            print(f"right sample ratio {shares}, asked 500 times: doubted in {doubted:.2%}; at most 1% asked")
        found = pool.map(partial(ratio_found, (0.5, 0.5), (0.53, 0.47), 0.01, 40_000), times, chunksize=8)
        told = sorted(n for n in found if n is not None)
        middle = told[len(told) // 2] if told else 0
        print(f"53:47 where half was agreed: found in {len(told) / given.times:.1%}, after {middle:,} units (median)")
        for correlation in (0.3, 0.7):
            mean = float(np.mean(pool.map(partial(cut, correlation), range(min(given.times, 200)))))
            known = (
                correlation**2 * 16 / (correlation**2 * 28 + (1 - correlation**2) * 4)
            )  # geometric(1/4): mean 4, square 28
            print(
                f"a covariate of correlation {correlation}: takes {mean:.1%} of the variance; {known:.1%} is what it explains"
            )


if __name__ == "__main__":
    main()
