"""What came in of one model, beside what usually comes: requests by the hour of the day and week, labels by the week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from modelmark.domain.catalogue.monitor_settings import Cycle
from modelmark.domain.finding import Window

WEEK = timedelta(days=7)
#: How many spans of the same phase are looked back at.
_SPANS = {Cycle.WEEK: 4, Cycle.DAY: 7, Cycle.NONE: 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """last: when the last one came, None where none has in five weeks. count: of the last seven days; usual: of the weeks
    before, the newest first, those that labels are known for. longest: the longest pause between two hours with labels.

    known: for how long labels have come. owed: whether something was predicted of which a label should have come since.
    """

    last: datetime | None = None
    count: int = 0
    usual: Sequence[int] = ()
    longest: timedelta = timedelta()
    known: timedelta = timedelta()
    owed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Of the whole model, whichever version answered. requests: of the window; usual: of the same phase before it, the newest
    first, those in which the model was known. first: when it was first asked, as far as is known."""

    requests: int
    usual: Sequence[int]
    first: datetime | None
    labels: Labels = Labels()


def same_phase(window: Window, cycle: Cycle) -> list[Window]:
    """The spans of time whose traffic is usual for this one, the newest first."""
    length = window.end - window.start
    step = {Cycle.WEEK: WEEK, Cycle.DAY: timedelta(days=1), Cycle.NONE: length}[cycle]
    step *= max(1, -(-length // step))  # spans do not overlap
    return [Window(start=window.start - k * step, end=window.end - k * step) for k in range(1, _SPANS[cycle] + 1)]


def labels_of(hours: Sequence[tuple[datetime, int]], now: datetime, *, owed: bool = True) -> Labels:
    """hours: the beginnings of those hours of five weeks in which labels came, oldest first, and how many did."""
    if not hours:
        return Labels(owed=owed)
    starts = [at for at, _ in hours]
    pauses = [after - before for before, after in pairwise(starts)]
    known = now - starts[0]
    weeks = [sum(n for at, n in hours if now - (k + 1) * WEEK <= at < now - k * WEEK) for k in range(5)]
    return Labels(
        last=starts[-1],
        count=weeks[0],
        usual=[n for k, n in enumerate(weeks) if k and (k + 1) * WEEK <= known],
        longest=max(pauses, default=timedelta()),
        known=known,
        owed=owed,
    )
