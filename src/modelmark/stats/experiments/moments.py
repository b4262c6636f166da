"""What every comparison of arms needs of their units: how many, the means, the covariances. A few numbers an arm.

A unit has a numerator x, a denominator y (1 where its value is counted once) and a covariate c that was known before it met
its arm (0 where there is none). All three are kept together, in that order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelmark.stats.sequences import FEWEST

#: Where each of them stands.
X, Y, C = 0, 1, 2
#: A stratum is compared by itself from so many units of each arm on; smaller ones are put together.
LEAST_STRATUM: Final = 20
__all__ = ["FEWEST", "LEAST_STRATUM", "C", "Moments", "X", "Y", "matched", "merged", "moments"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """n: units. mean: shape (3,). covariance: shape (3, 3), unbiased; nan of fewer than two units."""

    n: int
    mean: np.ndarray[Any, np.dtype[np.float64]]
    covariance: np.ndarray[Any, np.dtype[np.float64]]

    @property
    def scatter(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Sums of products about the mean; 0 of fewer than two units."""
        return self.covariance * (self.n - 1) if self.n > 1 else np.zeros((3, 3))


def moments(x: Any, y: Any = 1.0, c: Any = 0.0) -> Moments:
    """Of arrays of shape (units,); y and c may be one number for all."""
    x = np.asarray(x, float)
    values = np.vstack(
        [x, np.broadcast_to(np.asarray(y, float), x.shape), np.broadcast_to(np.asarray(c, float), x.shape)]
    )
    if x.size == 0:
        return Moments(n=0, mean=np.zeros(3), covariance=np.full((3, 3), np.nan))
    covariance = np.cov(values) if x.size > 1 else np.full((3, 3), np.nan)
    return Moments(n=int(x.size), mean=values.mean(axis=1), covariance=covariance)


def merged(parts: Sequence[Moments]) -> Moments:
    """Of all units together, as if they had been seen at once. Source: Chan, Golub & LeVeque 1983, Amer. Statist. 37(3)."""
    kept = [part for part in parts if part.n]
    n = sum(part.n for part in kept)
    if n == 0:
        return Moments(n=0, mean=np.zeros(3), covariance=np.full((3, 3), np.nan))
    mean = sum((part.n * part.mean for part in kept), np.zeros(3)) / n
    scatter = np.zeros((3, 3))
    for part in kept:
        off = part.mean - mean
        scatter += part.scatter + part.n * np.outer(off, off)
    return Moments(n=n, mean=mean, covariance=scatter / (n - 1) if n > 1 else np.full((3, 3), np.nan))


def matched(arms: Sequence[Mapping[str, Moments]]) -> list[list[Moments]]:
    """Each arm's strata in one order. Strata that are too small in any arm are one, or nobody is told apart."""
    names = sorted({name for arm in arms for name in arm})
    large = [name for name in names if all(name in arm and arm[name].n >= LEAST_STRATUM for arm in arms)]
    rest = [[arm[name] for name in names if name not in large and name in arm] for arm in arms]
    found = [[arm[name] for name in large] for arm in arms]
    if not any(sum(part.n for part in few) for few in rest):
        return found
    together = [merged(few) for few in rest]
    if all(part.n >= LEAST_STRATUM for part in together):
        return [[*own, more] for own, more in zip(found, together, strict=True)]
    if not large:
        return [[merged(list(arm.values()))] for arm in arms]
    return [[*own[:-1], merged([own[-1], more])] for own, more in zip(found, together, strict=True)]
