"""What was read from an experiment at one look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

#: Under this and the experiment's name the steward keeps what it read when it last looked, and the looks before.
KEPT: Final = "experiment/"


class Finding(StrEnum):
    """What is so of an arm, of one measure, or of the whole."""

    BETTER = "better"
    """Surely better than the control, and no guardrail is touched."""
    NO_WORSE = "no worse"
    """Surely within the minimum effect of the control, on both sides."""
    WITHIN = "within its margin"
    """Of a guardrail: surely not worse by more than is tolerated."""
    HARM = "harm"
    """Surely worse: the experiment ends."""
    NEED_MORE = "need more"
    NOT_COMPUTABLE = "not computable"
    MISMATCH = "sample ratio mismatch"
    """Units did not come in the shares that were agreed: nothing else is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureReading:
    """One measure of one arm against the control. control, treated: each arm's own value. estimate, low, high: the difference,
    in the measure's own unit, the bounds surely so at every look. margin: the minimum effect, or what is tolerated.

    cut: the share of the variance that strata or covariate took away. n: units of both arms. more: about so many further
    units, of all arms, decide; None where nobody can say.
    """

    arm: str
    measure: str
    objective: bool
    finding: Finding
    sentence: str
    control: float | None = None
    treated: float | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float = 0.0
    cut: float = 0.0
    n: int = 0
    more: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReading:
    """units: that met each arm and no other. contaminated: those that met several; they count nowhere. nameless: requests
    that named no entity, where that is the unit. sample_ratio: the chance of shares this far off, were all well; over all looks.
    """

    at: datetime
    finding: Finding
    sentence: str
    units: Mapping[str, int]
    contaminated: int
    nameless: int
    sample_ratio: float
    measures: tuple[MeasureReading, ...] = ()
    more: int | None = None
    eta: timedelta | None = None

    @property
    def arms_decided(self) -> bool:
        """Whether nothing is open any more."""
        return self.finding in (Finding.BETTER, Finding.NO_WORSE, Finding.HARM)
