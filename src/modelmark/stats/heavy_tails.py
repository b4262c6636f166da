"""How large a mean loss may be where few rows carry most of it: the largest loss is one that was not seen.

An interval of a mean rests on the spread of what was seen. Of a heavy tail the rows that would widen it are the ones that
are missing: of lognormal errors the bootstrap's upper end lay below the truth in 12% to 18% of samples where 2.5% are asked.
"""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.metrics import Array

Units = NDArray[np.int64]
_TAIL: Final = 10  # a tenth of the rows say how heavy it is, five at least
_TIMES: Final = 5.0
_MOST: Final = 30.0


def heaviness(losses: Array) -> float:
    """Hill's estimate (1975, Ann. Stat. 3:1163) of how slowly the tail of losses above 0 falls: about 0.1 of squared errors
    that are bounded, 0.4 of normal ones, 1 of lognormal ones; from 0.5 on their variance does not exist."""
    top = _top(losses)
    ordered = np.sort(losses)[::-1]
    if len(ordered) <= top or ordered[top] <= 0:
        return 0.0
    return float(np.log(ordered[:top] / ordered[top]).mean())


def unseen(losses: Array) -> float:
    """A loss that nobody saw and that one more row may have: as large as the largest seen, times five times the squared
    heaviness (thirty at most), of which the upper end counts, two standard errors up: few rows say little of a tail."""
    sure = heaviness(losses) * (1 + 2 / sqrt(_top(losses)))
    return min(_TIMES * sure**2, _MOST) * float(losses.max(initial=0.0))


def upper_end(losses: Array, confidence: float, units: Units | None = None) -> float:
    """The upper end of a two-sided interval of the mean of losses, none below 0: Student's t on the log scale, with one more
    row that nobody saw. units: positions of rows that depend on each other; their totals count as rows."""
    rows = _totals(losses, units)
    seen = np.append(rows, unseen(rows))
    mean = float(seen.mean())
    return mean * exp(_error(seen, confidence) / mean) if mean > 0 else 0.0


def lower_end(gains: Array, confidence: float, units: Units | None = None) -> float:
    """The lower end of a two-sided interval of the mean of gains, of either sign: Student's t, with one more row that loses
    what nobody saw. units: as for `upper_end`."""
    rows = _totals(gains, units)
    seen = np.append(rows, -unseen(np.maximum(-rows, 0.0)))
    return float(seen.mean()) - _error(seen, confidence)


def _top(losses: Array) -> int:
    return max(5, len(losses) // _TAIL)


def _totals(values: Array, units: Units | None) -> Array:
    return values if units is None else np.bincount(units, values) * (units.max() + 1) / len(values)


def _error(seen: Array, confidence: float) -> float:
    """How far Student's interval of a mean reaches; the last row was not seen and is no degree of freedom."""
    from scipy.special import stdtrit

    n = len(seen) - 1
    return float(stdtrit(n - 1, (1 + confidence) / 2) * seen.std(ddof=1)) / sqrt(n)
