"""Intervals of a share, and how many more rows an interval lacks."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

_IN_REACH: Final = 10_000  # labels that a team may well collect, however few there are


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of hits / n; (0, 1) for n = 0. Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.

    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if n == 0:
        return 0.0, 1.0
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    share = hits / n
    middle = share + z2 / (2 * n)
    reach = (z2 * (share * (1 - share) / n + z2 / (4 * n * n))) ** 0.5
    return max(0.0, (middle - reach) / (1 + z2 / n)), min(1.0, (middle + reach) / (1 + z2 / n))


def clopper_pearson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of hits / n: it covers at least as often as it says; (0, 1) for n = 0.

    Source: Clopper & Pearson 1934, Biometrika 26:404.

    >>> [round(end, 4) for end in clopper_pearson(81, 263)]
    [0.2527, 0.3676]
    """
    from scipy.stats import beta

    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return low, high


def would_tell(n: int, more: int, of: str = "labels") -> str:
    """What to say of a figure whose interval lies on both sides of a line, n rows long: about how many more would tell,
    or that none in reach would. Never that it cannot be told: what is not surely wrong passes.

    >>> would_tell(100, 300), would_tell(20_000, 1_393_029)
    ('about 300 more labels would tell', 'it stands so near the line that no number of labels in reach would tell')
    """
    if more > max(10 * n, _IN_REACH):
        return f"it stands so near the line that no number of {of} in reach would tell"
    return f"about {more:,} more {of} would tell"


def more_needed(n: int, reach: float, room: float) -> int:
    """About how many more rows bring an interval's reach down to the room there is, if widths go with 1 / sqrt(n).

    Room of less than a tenth of the reach counts as that: who stands on the line itself would need rows without end.

    >>> more_needed(100, 0.2, 0.1), more_needed(100, 0.1, 0.2), more_needed(100, 0.1, 0.0)
    (300, 1, 9900)
    """
    wider = reach / room if room > reach / 10 else 10.0
    return max(1, round(n * (wider**2 - 1)))
