"""Rows that one version predicted in one span of time, with the labels that have come for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelmark.domain.finding import Window
from modelmark.stats.metrics import LabelledPredictions

#: From this share of labels on a cohort is mature whatever its age: the few that lack cannot say much else.
NEARLY_ALL: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Cohort:
    """window: when the rows were predicted. rows, labels: how many there are. old: labels usually have come by now.

    read: the labelled rows, read when asked; None where none can be judged.
    """

    window: Window
    rows: int
    labels: int
    old: bool
    read: Callable[[], LabelledPredictions | None]

    @property
    def mature(self) -> bool:
        """Whether those with a label stand for all. Labels that come first need not be typical."""
        return self.old or (self.rows > 0 and self.labels >= NEARLY_ALL * self.rows)

    def __str__(self) -> str:
        """'410 rows predicted 2026-03-01 11:00 to 2026-03-01 12:00 UTC (15% labelled)'"""
        share = 100 * self.labels // self.rows if self.rows else 0
        start, end = self.window.start, self.window.end
        return f"{self.rows:,} rows predicted {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC ({share}% labelled)"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Labelled rows in the order in which they were predicted, of as much of the past as is looked at; of many, some drawn at
    random.

    start, end: when the first and the last were.
    """

    judged: LabelledPredictions
    start: datetime
    end: datetime


def with_labels(cohorts: Sequence[Cohort], least: int) -> list[Cohort]:
    """Those of at least so many labels, narrowest first, each with four times the labels of the one before; only the mature
    where there is one.

    A further look at nearly the same labels would tell nothing new, and would err again.
    """
    enough = [cohort for cohort in cohorts if cohort.labels >= least]
    chosen: list[Cohort] = []
    for cohort in sorted([c for c in enough if c.mature] or enough, key=lambda c: c.window.end - c.window.start):
        if not chosen or cohort.labels >= 4 * chosen[-1].labels:
            chosen.append(cohort)
    return chosen
