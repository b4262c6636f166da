"""Intervals that hold all together: draws of a family of estimates, and the multiplier of all their pairs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TIMES: Final = 1000  # resamples, where they cost nothing per row
_DRAWS: Final = 20_000_000  # draws of units; bounds the time where there are many
_DRAWN: Final = 10_000  # of the studentised range
_CHUNK: Final = 4_000_000


def times_for(units: int) -> int:
    """How many resamples of units: 1,000 up to twenty thousand of them, fewer beyond, never under 400."""
    return int(np.clip(_DRAWS // max(units, 1), 400, TIMES))


def drawn_cells(counts: Codes, mean: Array, variance: Array, seed: int) -> tuple[Array, Array]:
    """(rows, total of a value) of each cell in each resample of independent rows; both (resamples, *counts.shape).

    Rows of one cell differ in nothing but the value, so the Poisson bootstrap (Chamandy et al. 2012) of the rows draws
    Poisson counts of the cells: the same law, at a cost that does not grow with the rows. The value's total, given the
    count, is drawn as the normal that it tends to.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.poisson(counts, (TIMES, *counts.shape)).astype(np.float64)
    return drawn, drawn * mean + np.sqrt(drawn * variance) * rng.normal(size=drawn.shape)


def drawn_units(units: Codes, column: Codes, terms: Array, columns: int, seed: int) -> Iterator[Array]:
    """Totals of shape (some resamples, columns, terms) when whole units are drawn, by the Poisson bootstrap.

    units: positions 0..k-1 of what is drawn together. column: which column each row adds its terms (rows, terms) to.
    """
    from scipy.sparse import csr_array

    count, width = int(units.max()) + 1, terms.shape[1]
    place = (column[:, None] * width + np.arange(width)).reshape(-1)
    table = csr_array(
        (terms.reshape(-1).astype(np.float64), (np.repeat(units, width), place)), shape=(count, columns * width)
    )
    rng, left = np.random.default_rng(seed), times_for(count)
    while left:
        size = max(1, min(left, _CHUNK // count))
        drawn = rng.poisson(1.0, (size, count)).astype(np.float64)
        yield np.asarray((table.T @ drawn.T).T).reshape(size, columns, width)
        left -= size


def pairs_multiplier(variance: Array, confidence: float) -> float:
    """How many standard errors all pairwise differences of independent estimates stay within together.

    variance: of each estimate, shape (k,), k at least 2. Tukey and Kramer's studentised range for unequal variances, drawn.
    """
    if len(variance) == 2:
        return NormalDist().inv_cdf((1 + confidence) / 2)
    drawn = np.random.default_rng(0).normal(size=(_DRAWN, len(variance))) * np.sqrt(variance)
    most = np.zeros(_DRAWN)
    for i, j in combinations(range(len(variance)), 2):
        np.maximum(most, np.abs(drawn[:, i] - drawn[:, j]) / (variance[i] + variance[j]) ** 0.5, out=most)
    return float(np.quantile(most, confidence))
