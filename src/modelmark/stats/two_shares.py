"""Intervals of the difference and the ratio of two shares, right for few rows and for shares of 0 and 1. Vectorised.

Difference: the hybrid score interval, which joins Wilson's two (Newcombe 1998, Stat. Med. 17:873, method 10). Ratio: the score
interval (Koopman 1984, Biometrics 40:513) with the variance of Miettinen & Nurminen 1985, Stat. Med. 4:213. Hits and rows
may be fractions: of rows that hang together, as many as they are worth.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Ratios beyond it, and below its inverse, are not looked for: an interval without an end ends there.
FARTHEST: Final = 1000.0
_STEPS: Final = 40  # of bisection: the ends are exact to 1e-11


def wilson_ends(hits: Array, n: Array, z: Array | float) -> tuple[Array, Array]:
    """Wilson's interval of each share; (0, 1) where n is 0."""
    rows = np.maximum(n, 1e-9)
    share, z2 = hits / rows, np.square(z)
    middle = share + z2 / (2 * rows)
    reach = np.sqrt(z2 * (np.maximum(share * (1 - share), 0) / rows + z2 / (4 * rows * rows)))
    low, high = (np.clip((middle + side * reach) / (1 + z2 / rows), 0, 1) for side in (-1, 1))
    return np.where(n > 0, low, 0.0), np.where(n > 0, high, 1.0)


def difference(first: tuple[Array, Array], second: tuple[Array, Array], z: Array | float) -> tuple[Array, Array]:
    """(low, high) of first less second; each is (hits, n).

    >>> low, high = difference((np.array([56.0]), np.array([70.0])), (np.array([48.0]), np.array([80.0])), 1.959964)
    >>> round(float(low[0]), 4), round(float(high[0]), 4)
    (0.0524, 0.3339)
    """
    (p, below_p, above_p), (q, below_q, above_q) = (
        (hits / np.maximum(n, 1e-9), *wilson_ends(hits, n, z)) for hits, n in (first, second)
    )
    found = p - q
    low = found - np.hypot(p - below_p, above_q - q)
    return low, found + np.hypot(above_p - p, q - below_q)


def ratio(first: tuple[Array, Array], second: tuple[Array, Array], z: Array | float) -> tuple[Array, Array]:
    """(low, high) of first over second; each is (hits, n). 0 and `FARTHEST` where there is no end.

    >>> low, high = ratio((np.array([36.0]), np.array([40.0])), (np.array([16.0]), np.array([80.0])), 1.959964)
    >>> round(float(low[0]), 2), round(float(high[0]), 2)
    (2.93, 7.17)
    """
    (x, n), (y, m) = first, second
    start = np.log((x + 0.5) / (n + 0.5)) - np.log((y + 0.5) / (m + 0.5))
    low = _end(x, n, y, m, start, np.full_like(start, -np.log(FARTHEST)), z)
    high = _end(x, n, y, m, start, np.full_like(start, np.log(FARTHEST)), z)
    # Nothing among the first allows any small ratio, nothing among the second any large one.
    low = np.where((x <= 0) | (low <= 1.001 / FARTHEST), 0.0, low)
    return low, np.where((y <= 0) | (high >= FARTHEST / 1.001), FARTHEST, high)


def _end(x: Array, n: Array, y: Array, m: Array, inside: Array, outside: Array, z: Array | float) -> Array:
    """The ratio between one that is no surprise and one that is, at which it begins to be, by bisection of its log."""
    inside = np.clip(inside, -np.log(FARTHEST), np.log(FARTHEST))
    for _ in range(_STEPS):
        middle = (inside + outside) / 2
        surprises = _score(x, n, y, m, np.exp(middle)) > np.square(z)
        inside, outside = np.where(surprises, inside, middle), np.where(surprises, middle, outside)
    return np.asarray(np.exp((inside + outside) / 2))


def _score(x: Array, n: Array, y: Array, m: Array, ratio: Array) -> Array:
    """The squared score statistic, with the shares that are likeliest under this ratio."""
    a, b = (n + m) * ratio, -(n * ratio + x + m + y * ratio)
    root = np.sqrt(np.maximum(b * b - 4 * a * (x + y), 0))
    q = np.clip((-b - root) / (2 * a), 0, 1)
    p = np.clip(q * ratio, 0, 1)
    every = n + m
    variance = (p * (1 - p) / n + ratio**2 * q * (1 - q) / m) * every / np.maximum(every - 1, 1)
    off = x / n - ratio * y / m
    return np.where(variance > 0, off**2 / np.where(variance > 0, variance, 1.0), np.where(off == 0, 0.0, np.inf))
