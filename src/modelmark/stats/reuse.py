"""A holdout that judges many versions: how sure each must be, so that all of them together err hardly oftener than one.

The k-th version spends 1 / k² of what may go wrong: the first all of it, fifty together 1.6 times as much (of independent
versions that are truly at the limit, the best of fifty used to pass in 73%). Versions that are tried until one passes are
such a family whatever the failures before told (Blum & Hardt 2015, the Ladder; Dwork et al. 2015, Thresholdout): the bound is
on the path of failures. It does not hold against somebody who tunes on the figures that reports show.
"""

from __future__ import annotations

from dataclasses import replace
from math import pi
from statistics import NormalDist

from modelmark.stats.bootstrap import Interval


def kth_confidence(confidence: float, k: int) -> float:
    """The confidence of a two-sided interval that the k-th version on one holdout is judged by; k from 1.

    >>> kth_confidence(0.95, 1), round(kth_confidence(0.95, 10), 4)
    (0.95, 0.9995)
    """
    return 1 - (1 - confidence) / k**2


def used_up(k: int) -> float:
    """The share of all that may ever go wrong that k versions have spent.

    >>> round(used_up(1), 2), round(used_up(10), 2)
    (0.61, 0.94)
    """
    return sum(1 / j**2 for j in range(1, k + 1)) * 6 / pi**2


def stretched(found: Interval, confidence: float) -> Interval:
    """The interval at a higher confidence, as far as a normal one reaches further: resamples do not tell of one in ten
    thousand."""
    asked, own = (NormalDist().inv_cdf((1 + c) / 2) for c in (confidence, found.confidence))
    wider = asked / own
    low, high = (found.estimate + wider * (end - found.estimate) for end in (found.low, found.high))
    return replace(found, low=low, high=high, confidence=confidence)
