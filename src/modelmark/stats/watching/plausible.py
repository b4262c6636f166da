"""How far values of a column may lie before they cannot be: bounds learnt from training, wide enough for any tail it shows.

Each side is extrapolated by itself, as a distance from the median, from two of its quantiles: one that some ten rows in
the table lie beyond (never more than one in a thousand of large tables) and one of the square root of that share. The line
through them is drawn on to where one row in 10^12 would lie. Where the tail is heavier than an exponential one, the line is
that of a power law; else of a Weibull tail, with half an order more than was measured. So a few wrong values in the
table itself do not stretch the bounds, and a heavy tail that is real stays inside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, log
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import Tampered

Array = NDArray[np.float64]
Bounds = tuple[float, float]

ENDLESS: Final[Bounds] = (-inf, inf)
#: Of fewer rows a tail is not known.
LEAST: Final = 500
#: One row in so many would lie outside.
RARE: Final = 1e-12
#: Rows beyond the outer of the two quantiles, at least.
_BEYOND: Final = 10.0
_SHARE: Final = 1e-3
#: Order of a Weibull tail from which on it counts as a power law's; 1 is exponential, 0.5 normal.
_HEAVY: Final = 1.3
_MARGIN: Final = 0.5
_OVERFLOWS: Final = 700.0


def plausible_bounds(values: Array) -> Bounds | None:
    """(low, high); infinite on a side that nothing is known of, such as one on which hardly a value differs from the median.

    values: shape (rows,); what is not finite is left out. None where nothing is known of either side.

    >>> low, high = plausible_bounds(1013 + 8 * np.random.default_rng(0).normal(size=18_000))
    >>> 800 < low < 950, 1080 < high < 1250
    (True, True)
    """
    known = values[np.isfinite(values)]
    if len(known) < LEAST:
        return None
    middle = float(np.median(known))
    with np.errstate(over="ignore"):
        low, high = middle - _reach(middle - known), middle + _reach(known - middle)
    return None if low == -inf and high == inf else (low, high)


def _reach(distances: Array) -> float:
    """distances: of all values towards one side; those of the other side are negative."""
    outer = max(_SHARE, _BEYOND / len(distances))
    inner = outer**0.5
    far, near = (float(np.quantile(distances, 1 - share)) for share in (outer, inner))
    if near <= 0 or not np.isfinite(far):
        return inf
    order = log(far / near) / log(log(0.5 / outer) / log(0.5 / inner))
    if order > _HEAVY:
        unsure = 1 + 2 / (outer * len(distances)) ** 0.5
        power = unsure * log(far / near) / log(inner / outer) * log(outer / RARE)
        return far * exp(power) if power < _OVERFLOWS else inf
    stretch: float = (log(0.5 / RARE) / log(0.5 / outer)) ** (max(order, 0.5) + _MARGIN)
    return far * stretch


def beyond(values: Array, bounds: Bounds) -> int:
    """How many finite values lie outside."""
    outside = (values < bounds[0]) | (values > bounds[1])
    return int(np.count_nonzero(outside & np.isfinite(values)))


def ends(written: Sequence[float | None] | None) -> Bounds | None:
    """Bounds as reference.json has them: null for an end that is open. Raises ValueError for what are none."""
    if written is None:
        return None
    low, high = (inf if end is None else float(end) for end in written)
    low = -inf if written[0] is None else low
    if not low <= high:
        raise ValueError("the bounds of a column do not stand in order")
    return low, high


class _Column(msgspec.Struct, frozen=True):
    bounds: tuple[float | None, float | None] | None = None


class _Reference(msgspec.Struct, frozen=True):
    columns: dict[str, _Column] = {}


def bounds_in(reference: bytes) -> Mapping[str, Bounds]:
    """Only the bounds of a version's reference.json, by input; empty for a version from before there were any.

    Raises Tampered for bytes that are no reference.
    """
    try:
        columns = msgspec.json.decode(reference, type=_Reference).columns
        found = {name: ends(column.bounds) for name, column in columns.items()}
    except (msgspec.DecodeError, ValueError) as error:
        raise Tampered(f"this is no reference profile: {error}", code="BAD_FORM") from None
    return {name: bounds for name, bounds in found.items() if bounds is not None}
