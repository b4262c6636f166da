"""Whether surely fewer came than ever at this time, or more: counts beside counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelmark.stats.rates import clopper_pearson


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Times as many as in the nearest of the usual spans, with its interval; 1 within what is usual."""

    measured: float
    low: float
    high: float


def ratio(count: int, usual: Sequence[int], *, confidence: float) -> Ratio | None:
    """Beside the least of the usual counts where there are fewer, the largest where there are more; exact for counts that come
    independently (the share of one of two Poisson counts; Przyborowski & Wilenski 1940, Biometrika 31:313).

    None where that count is 0: nothing can be fewer, and of nothing any number is more.
    """
    beside = min(max(count, min(usual)), max(usual))
    if count == beside:
        return Ratio(measured=1.0, low=1.0, high=1.0)
    if not beside:
        return None
    low, high = clopper_pearson(count, count + beside, confidence)
    return Ratio(measured=count / beside, low=low / (1 - low), high=high / (1 - high))
