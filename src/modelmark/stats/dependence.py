"""Rows in time order are not independent: into how long stretches they have to be cut so that the stretches nearly are."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.metrics import Array

#: Stretches there are at least, however long they would have to be: Student's t of five degrees is as wide as is of use.
_LEAST: Final = 6
#: Lengths that make the variance's error least are too short for an interval to cover (Sun, Phillips & Jin 2008,
#: Econometrica 76:175); three times as long covers 93% to 94% where 95% is asked, from AR(0.5) to AR(0.97).
_LONGER: Final = 3.0


def block_length(values: Array) -> float:
    """The length that makes the error of the mean's variance least, in rows; below 1 where rows look independent.

    values: in time order. Source: Politis & White 2004, Econometric Reviews 23:53, for the circular bootstrap, as corrected
    by Patton, Politis & White 2009, ibid. 28:372: the flat-top kernel up to the lag after which correlations vanish.
    """
    n = len(values)
    if n < 10:
        return 0.0
    centred = np.asarray(values - values.mean(), dtype=np.float64)
    spectrum = np.fft.rfft(centred, 2 * n)
    covariance = np.fft.irfft(spectrum * np.conj(spectrum))[:n] / n
    if covariance[0] <= 0:
        return 0.0
    widest = min(int(np.ceil(n**0.5)) + 5, n - 1)
    lags = np.arange(1, min(2 * _vanishes(covariance / covariance[0], n, widest), widest) + 1)
    weight = np.clip(2 * (1 - lags / lags[-1]), 0, 1)
    long_run = covariance[0] + 2 * float(weight @ covariance[lags])
    slope = 2 * float(weight @ (lags * covariance[lags]))
    return float((1.5 * (slope / long_run) ** 2 * n) ** (1 / 3)) if long_run > 0 else 0.0


def _vanishes(correlation: Array, n: int, widest: int) -> int:
    """The lag after which five correlations in a row are no more than chance gives, at least 1."""
    chance, streak = 2 * (np.log10(n) / n) ** 0.5, max(5, int(np.ceil(np.log10(n) ** 0.5)))
    loud = np.abs(correlation[1 : widest + 1]) >= chance
    quiet = (lag for lag in range(len(loud)) if not loud[lag : lag + streak].any())
    return max(1, next(quiet, len(loud)))


def stretches(values: Array) -> NDArray[np.int64]:
    """Positions 0..k-1 of the stretch of time that each row falls in, as equal as can be. values: in time order, such as
    each row's loss; the more they follow from one another, the longer the stretches, and the fewer."""
    n = len(values)
    length = max(1, round(_LONGER * block_length(values)))
    count = max(min(n, _LEAST), n // length)
    return np.asarray(np.arange(n) * count // max(n, 1), dtype=np.int64)
