"""What a job of the steward is, what it is given, and what a step leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.steward.profiler import MonitoredVersion


class FaultOwner(StrEnum):
    """Who hears of a fault."""

    VERSIONS = "every version that serves"  # a finding about each, so that pages and alerts tell of it
    LOG = "the log"  # one line there, and nothing else


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """Something went wrong. subject: what it is about, among the steward's findings. The same one again is told once a
    look."""

    subject: str
    sentence: str
    outcome: Outcome = Outcome.ALERT
    owner: FaultOwner = FaultOwner.VERSIONS

    @classmethod
    def of(cls, job: str, error: Exception, owner: FaultOwner) -> Self:
        """What a job raised."""
        why = error.message if isinstance(error, ModelmarkError) else f"{type(error).__name__}: {error}"
        sentence = f"{job} failed: {' '.join(why.split())[:300]}"
        return cls(subject=job, sentence=sentence, outcome=Outcome.CANNOT_TELL, owner=owner)


@dataclass(slots=True, kw_only=True)
class Step:
    """What one step did. errors: one line each, already written to the log."""

    at: datetime
    findings: list[Finding] = field(default_factory=list)
    opened: list[Alert] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """now: the time of the step. serving: the versions that serve. report: tells of a fault, and the job goes on. well: says of
    a subject that what was reported of it is over; of what has happened, such as damage, only people can say so. step: takes
    what was found."""

    now: datetime
    serving: Sequence[MonitoredVersion]
    report: Callable[[JobFault], None]
    step: Step
    well: Callable[[str], None] = lambda subject: None


class Job(Protocol):
    """One thing the steward does again and again. It may be killed at any moment and is then run again."""

    @property
    def name(self) -> str:
        """Also the subject of the finding when it fails."""
        ...

    @property
    def interval(self) -> timedelta:
        """It runs at most so often; zero: in every step."""
        ...

    @property
    def checkpoint(self) -> str:
        """Its key in the monitoring store. With an interval the steward notes there when it last ran, so that a restart does not
        run it early; without one, the job notes there itself how far it got. Empty: nothing is kept."""
        ...

    @property
    def owner(self) -> FaultOwner:
        """Who hears when `run` raises."""
        ...

    def run(self, context: JobContext) -> bool:
        """False when it could not be done yet: it is due again in the next step. May raise anything; the others go on."""
        ...
