"""What the evidence of one stage says, metric by metric and together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Decision(StrEnum):
    """What a verdict says should become of the version."""

    SHIP = "ship"
    """No worse than tolerated, in everything that is asked."""
    ROLL_BACK = "roll back"
    """Worse than tolerated in something."""
    WAIT = "need more"
    """Neither is known yet."""
    CANNOT_TELL = "could not evaluate"
    """Something that is asked could not be measured, so nothing speaks for the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """One metric, the candidate against the champion; positive differences are worse, but for `score` and `disagreement`.

    low, high: bounds that hold at every look. n: the candidate's requests that it rests on. more: about so many further ones
    decide; None where nobody can say.
    """

    metric: str
    decision: Decision
    sentence: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    n: int = 0
    more: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A stage's evidence as a whole. eta: how long `more` requests take at today's traffic."""

    decision: Decision
    sentence: str
    metrics: tuple[MetricVerdict, ...]
    requests: int = 0
    more: int | None = None
    eta: timedelta | None = None
