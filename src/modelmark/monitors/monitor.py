"""What a monitor is, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.stats.metrics import Judged
from modelmark.stats.profile import SCORE, Counts, Reference

#: A profile column of one count: requests that were answered. Rows are counted by every other column.
REQUESTS: Final = "@requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One window of one version's life.

    profiles: counts per reference column over the window, see `stats.profile`; a column without traffic is absent.
    labelled: truth and scores of the rows whose labels came in the window; reads the journal, so call it only when
    needed. refused: requests refused for the model in the window, by (code, field). baseline: the objective on the
    holdout, None when unknown.
    """

    model: str
    version: Digest
    contract: Contract
    reference: Reference
    window: Window
    profiles: Mapping[str, Counts]
    labelled: Callable[[], Judged | None]
    refused: Mapping[tuple[str, str], int]
    baseline: float | None
    now: datetime

    @property
    def rows(self) -> int:
        counts = self.profiles.get(SCORE)
        return 0 if counts is None else int(self.reference.columns[SCORE].histogram(counts).sum())

    @property
    def requests(self) -> int:
        counts = self.profiles.get(REQUESTS)
        return 0 if counts is None else int(counts[0])

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
    ) -> Finding:
        """A finding about this window."""
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
        )


class Monitor(Protocol):
    """Looks at one thing. Pure: the same view gives the same findings.

    At least one finding per view, one per subject; what cannot be said is CANNOT_TELL with what would settle it.
    """

    @property
    def name(self) -> str: ...

    def look(self, view: View) -> list[Finding]: ...


#: The settings of a monitor's row -> a monitor.
MonitorKind = Callable[[Any], Monitor]


def subject_of(column: str) -> str:
    """How people read a profile column."""
    return "score" if column == SCORE else column


def named(column: str) -> str:
    """The same inside a sentence."""
    return "the score" if column == SCORE else f"“{column}”"
