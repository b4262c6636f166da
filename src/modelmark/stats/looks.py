"""How much further an interval must reach where it is looked at again and again: a month of looks may err as often as one."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

#: Minutes of the month whose looks share one chance to err.
MONTH: Final = 30 * 24 * 60.0
#: Windows that overlap are not as many as there are looks: of a running mean that is looked at without a break the largest of a
#: window's time lies as far out as that of about z squared means (Leadbetter, Lindgren & Rootzén 1983, theorem 8.2.7).
_AT_MOST: Final = 16.0


def reach(confidence: float, *, window: float, every: float, span: float = MONTH) -> float:
    """Times as far as a normal interval's end at one look, so that in a month of looks none lies beyond the truth but once in
    as many months as one would in looks.

    span: minutes of another length than a month. window, every: minutes that a look covers, and between two looks. Windows of
    twice, four times … the length may be looked at, too: of these there are half as many, a quarter, and so on, so together they
    only double the looks (Bonferroni).
    """
    looks = max(1.0, span / window) * min(max(window / every, 1.0), _AT_MOST) * 2
    single = NormalDist().inv_cdf((1 + confidence) / 2)
    return NormalDist().inv_cdf(1 - (1 - confidence) / 2 / looks) / single
