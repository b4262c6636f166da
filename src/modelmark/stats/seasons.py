"""What a column looks like at which hour: the phases of a day or of a week, learned from rows whose times are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Array = NDArray[np.float64]

DAY: Final = 24
WEEK: Final = 168
#: How the hours of a week may be told apart, the coarsest first: of a day; of working days and of weekends; each.
PARTS: Final = (24, 48, 168)
#: How many whole cycles rows must span, or a single odd day would be the rule.
CYCLES: Final = 2
#: Rows an hour must have on average; of fewer nobody can say what is usual then.
ROWS_PER_PART: Final = 50
#: How much of a column's bins an hour must tell before it matters (Pearson's phi squared), and how much more finer parts must.
_LEAST: Final = 0.01
_MORE: Final = 1.1
#: How often a column without a season may seem to have one.
_CHANCE: Final = 1e-4
_HOUR: Final = 3.6e9  # microseconds
_MONDAY: Final = 72  # hours of the week at 1970-01-01, a Thursday


@dataclass(frozen=True, slots=True)
class Season:
    """counts: of each hour, int64 of shape (one of `PARTS`, size of the column); in UTC, weeks from Monday on."""

    counts: Counts

    @property
    def parts(self) -> int:
        return len(self.counts)

    def during(self, start: datetime, end: datetime) -> Counts:
        """What the hours of a span of time looked like, each as much as the span holds of it."""
        first, last = (at.timestamp() / 3600 for at in (start, end))
        hours = np.arange(np.floor(first), max(np.ceil(last), np.floor(first) + 1))
        held = np.clip(np.minimum(hours + 1, last) - np.maximum(hours, first), 0.0, 1.0)
        share = np.bincount(_phases(hours, self.parts), held, self.parts)
        return np.rint(share / max(float(share.max()), 1e-9) @ self.counts).astype(np.int64)


def covered(times: Array) -> int:
    """Hours of the longest cycle that rows span often and densely enough: 168, 24, or 0; dates without a time of day tell none.

    times: microseconds since 1970, NaN where unknown.
    """
    known = times[np.isfinite(times)]
    if len(known) < CYCLES or not (known % (24 * _HOUR)).any():
        return 0
    span = float(np.ptp(known)) / _HOUR
    kinds = ((WEEK, 48), (DAY, 24))
    return next((c for c, parts in kinds if span >= CYCLES * c and len(known) >= ROWS_PER_PART * parts), 0)


def hours_of_week(times: Array) -> NDArray[np.int64]:
    """0 to 167 for each time; all must be known."""
    return _phases(np.floor(times / _HOUR), WEEK)


def season_of(by_hour: Counts, cycle: int) -> Season | None:
    """The hours of a covered cycle where they differ, as coarse as tells nearly as much; None where all look alike.

    by_hour: counts of shape (168, size), of disjoint bins.
    """
    best: tuple[float, Season | None] = (_LEAST / _MORE, None)
    for parts in PARTS if cycle == WEEK else PARTS[:1]:
        season = Season(folded(by_hour, parts))
        told = _told(season.counts)
        if told > _MORE * best[0]:
            best = told, season
    return best[1]


def folded(by_hour: Counts, parts: int) -> Counts:
    """Counts of the hours of a week, shape (168, size), as those of so many parts."""
    found = np.zeros((parts, by_hour.shape[1]), dtype=np.int64)
    np.add.at(found, _part_of(np.arange(WEEK), parts), by_hour)
    return found


def long_before(start: datetime, end: datetime, hours: int) -> tuple[datetime, datetime]:
    """The same hours, whole, so long before."""
    back, hour = timedelta(hours=hours), timedelta(hours=1)
    first = start.replace(minute=0, second=0, microsecond=0)
    last = end.replace(minute=0, second=0, microsecond=0)
    return first - back, (last if last == end and last > first else last + hour) - back


def _phases(hours: Array, parts: int) -> NDArray[np.int64]:
    """hours: since 1970."""
    return _part_of((hours.astype(np.int64) + _MONDAY) % WEEK, parts)


def _part_of(hours_of_week: NDArray[np.int64], parts: int) -> NDArray[np.int64]:
    if parts == WEEK:
        return hours_of_week
    weekend = hours_of_week >= 5 * DAY
    return hours_of_week % DAY + DAY * (weekend & (parts == 2 * DAY))


def _told(counts: Counts) -> float:
    """How much the hour tells of the bin: Pearson's phi squared without what chance adds, 0 where it may be chance, or where too
    few rows could say. Unlike mutual information it stays unbiased in thin tables."""
    from scipy.special import chdtri

    table = counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0].astype(np.float64)
    n, freedom = float(table.sum()), (table.shape[0] - 1) * (table.shape[1] - 1)
    if freedom <= 0 or n < ROWS_PER_PART * len(table):
        return 0.0
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / n
    squared = float(((table - expected) ** 2 / expected).sum())
    return (squared - freedom) / n if squared > float(chdtri(freedom, _CHANCE)) else 0.0
