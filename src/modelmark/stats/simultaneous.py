"""Intervals that hold all together: bootstrap max-T bands over a family of estimates.

The widest studentised deviation of each resample gives one multiplier for every estimate (Westfall & Young 1993;
Romano & Wolf 2005, Econometrica 73:1237), so the chance that any interval misses is 1 - confidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.int64]

TIMES: Final = 1000  # resamples, where they cost nothing per row
_DRAWS: Final = 20_000_000  # draws of units; bounds the time where there are many
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


def band(estimates: Array, replicates: Array, least: Array, confidence: float) -> tuple[Array, Array]:
    """(low, high) of each estimate, shape (k,); estimates that are not finite get NaN and cost the others nothing.

    replicates: (resamples, k). least: standard errors below which nobody believes the bootstrap, which sees no spread
    in a rate of 0 or 1.
    """
    low, high = np.full_like(estimates, np.nan), np.full_like(estimates, np.nan)
    known = np.isfinite(estimates) & (np.isfinite(replicates).mean(axis=0) > 0.99)
    if not known.any():
        return low, high
    off = np.nan_to_num(replicates[:, known] - estimates[known])
    scale = np.maximum(np.maximum(off.std(axis=0), least[known]), 1e-12)
    reach = float(np.quantile(np.abs(off / scale).max(axis=1), confidence)) * scale
    low[known], high[known] = estimates[known] - reach, estimates[known] + reach
    return low, high
