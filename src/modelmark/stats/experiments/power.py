"""How many units tell a difference: of a test made once, and of bounds that are read at every look."""

from __future__ import annotations

from math import ceil, isfinite
from statistics import NormalDist
from typing import Final

from modelmark.stats.sequences import mean_radius

#: Nobody plans further ahead than this many units.
MOST: Final = 1_000_000_000


def fixed_units(spread: float, difference: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Units, of all arms compared, for a two-sided test made once.

    spread: the variance of the estimated difference times the units it came from.

    >>> fixed_units(4.0, 0.1)  # two arms of variance 1, half of the units each
    3140
    """
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return ceil(spread * (z / difference) ** 2)


def more_units(variance: float, n: int, *, target: float, alpha: float, aim: float) -> int | None:
    """How many units on top of n bring the radius of a bound down to `target`; None where it takes more than `MOST`.

    variance: of the estimate from n units; it falls as they come.
    """
    if target <= 0 or variance <= 0 or not isfinite(variance):
        return None
    low, high = 1.0, 1.0
    while mean_radius(variance / high, alpha=alpha, aim=aim) > target:
        high *= 2
        if n * high > MOST:
            return None
    for _ in range(40):
        middle = (low + high) / 2
        if mean_radius(variance / middle, alpha=alpha, aim=aim) > target:
            low = middle
        else:
            high = middle
    return max(ceil(n * (high - 1)), 1)
