"""Intervals that hold all together: bootstrap max-T bands over a family of estimates.

The widest studentised deviation of each resample gives one multiplier for every estimate (Westfall & Young 1993;
Romano & Wolf 2005, Econometrica 73:1237), so the chance that any interval misses is 1 - confidence.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DRAWS = 20_000_000  # row draws; bounds the time on large tables
_CHUNK = 4_000_000


def times_for(rows: int) -> int:
    """How many resamples: 1,000 up to twenty thousand rows, fewer beyond, never under 400."""
    return int(np.clip(_DRAWS // max(rows, 1), 400, 1000))


def resamples(rows: int, units: NDArray[np.int64] | None, seed: int) -> Iterator[NDArray[np.float32]]:
    """Weights of shape (some, rows), float32: how often each resample draws each row, by the Poisson bootstrap.

    units: positions 0..k-1 of what is drawn together; None draws rows. Source: Chamandy et al. 2012.
    """
    count = rows if units is None else int(units.max()) + 1
    rng = np.random.default_rng(seed)
    left = times_for(rows)
    while left:
        size = max(1, min(left, _CHUNK // max(rows, 1)))
        drawn = rng.poisson(1.0, (size, count)).astype(np.float32)
        yield drawn if units is None else drawn[:, units]
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
