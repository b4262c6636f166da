"""What a monitor is, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.monitors.arrivals import Arrivals
from modelmark.monitors.cohort import Cohort, History
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import Array, LabelledPredictions
from modelmark.stats.profile import IMPLAUSIBLE, SCORE, Counts, Reference, merge

#: A profile column of one count: requests that were answered. Rows are counted by every other column.
REQUESTS: Final = "@requests"


class Observations(Protocol):
    """What was recorded of one version in one window. Each part is read when it is first asked for, and once."""

    @property
    def profiles(self) -> Mapping[str, Counts]:
        """Counts per reference column, see `stats.profile`; a column without traffic is absent."""
        ...

    def profiled(self, window: Window) -> Mapping[str, Counts]:
        """The same of another span of time; by whole hours where it is long ago."""
        ...

    @property
    def refused(self) -> Mapping[tuple[str, str], int]:
        """Requests refused as the window's came that the version would have answered, by (code, field)."""
        ...

    @property
    def cohorts(self) -> Sequence[Cohort]:
        """What was predicted, with its labels: first what ends with the window, then what labels usually have come for by
        now, each from narrow to wide; empty where no label has come."""
        ...

    @property
    def history(self) -> History | None:
        """The labels of rows old enough for them, as one sequence; None where there are none."""
        ...

    @property
    def scores(self) -> Array | None:
        """What the model answered in the window, shape (rows, classes) or (rows, 1), at most so many rows drawn at random; None
        where it answered nothing."""
        ...

    @property
    def arrivals(self) -> Arrivals | None:
        """What came in of the whole model, beside what usually does; None where nothing has yet, or not all is counted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Observations that are at hand, as tests and tools give them. earlier: profiles of spans of time before the window."""

    profiles: Mapping[str, Counts]
    refused: Mapping[tuple[str, str], int]
    cohorts: Sequence[Cohort] = ()
    earlier: Mapping[datetime, Mapping[str, Counts]] = field(default_factory=dict)
    arrivals: Arrivals | None = None
    scores: Array | None = None
    history: History | None = None

    def profiled(self, window: Window) -> Mapping[str, Counts]:
        """earlier: by the beginning of each span."""
        found: Mapping[str, Counts] = {}
        for at, counts in self.earlier.items():
            found = merge(found, counts) if window.start <= at < window.end else found
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorContext:
    """One window of one version's life: of what happened in it. came: when its requests came, where callers say that what they
    ask about happened earlier; None where they do not. baseline: the objective on the holdout, None when
    unknown; baseline_interval: how sure it is, None where it counts as known.

    observed: the records themselves; a monitor that does not ask for labels costs no reading of labels.
    """

    model: str
    version: Digest
    contract: Contract
    reference: Reference
    window: Window
    observed: Observations
    baseline: float | None
    now: datetime
    baseline_interval: Interval | None = None
    came: Window | None = None

    def of_requests(self) -> MonitorContext:
        """The same, for findings about requests and refusals, which are known when they come."""
        return self if self.came is None else replace(self, window=self.came, came=None)

    @property
    def profiles(self) -> Mapping[str, Counts]:
        return self.observed.profiles

    @property
    def refused(self) -> Mapping[tuple[str, str], int]:
        return self.observed.refused

    @property
    def cohorts(self) -> Sequence[Cohort]:
        return self.observed.cohorts

    @property
    def labelled(self) -> LabelledPredictions | None:
        """Truth and scores of the first cohort that has any; None where there are none."""
        return next((found for cohort in self.cohorts if (found := cohort.read()) is not None), None)

    @property
    def rows(self) -> int:
        counts = self.profiles.get(SCORE)
        return 0 if counts is None else int(self.reference.columns[SCORE].histogram(counts).sum())

    @property
    def requests(self) -> int:
        counts = self.profiles.get(REQUESTS)
        return 0 if counts is None else int(counts[0])

    @property
    def implausible(self) -> Mapping[str, int]:
        """Values outside the bounds learnt from training, of each input that has such bounds."""
        counts = self.profiles.get(IMPLAUSIBLE)
        return {
            column.name: 0 if counts is None else int(counts[place])
            for place, column in enumerate(self.reference.bounded)
        }

    def finding(
        self,
        monitor: str,
        subject: str,
        outcome: Outcome,
        sentence: str,
        *,
        n: int,
        measured: float | None = None,
        low: float | None = None,
        high: float | None = None,
        limit: float | None = None,
        column: bool = False,
    ) -> Finding:
        """A finding about this window. column: about one of many columns; those that alert together are one alert."""
        return Finding(
            monitor=monitor,
            model=self.model,
            version=self.version,
            subject=subject,
            window=self.window,
            outcome=outcome,
            sentence=sentence,
            measured=measured,
            low=low,
            high=high,
            limit=limit,
            n=n,
            column=column,
        )


class Monitor(Protocol):
    """Looks at one thing. Pure: the same view gives the same findings.

    At least one finding per view, one per subject; what cannot be said is CANNOT_TELL with what would settle it.
    """

    @property
    def name(self) -> str: ...

    def evaluate(self, view: MonitorContext) -> list[Finding]: ...


#: The settings of a monitor's row -> a monitor.
MonitorKind = Callable[[Any], Monitor]


def subject_of(column: str) -> str:
    """How people read a profile column."""
    return "score" if column == SCORE else column


def named(column: str) -> str:
    """The same inside a sentence."""
    return "the score" if column == SCORE else f"“{column}”"


def long(length: timedelta) -> str:
    """In the largest unit of which there are two.

    >>> long(timedelta(seconds=80)), long(timedelta(minutes=3)), long(timedelta(hours=5)), long(timedelta(days=3))
    ('80 seconds', '3 minutes', '5 hours', '3 days')
    """
    seconds = length.total_seconds()
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
