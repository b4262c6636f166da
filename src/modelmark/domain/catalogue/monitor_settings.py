"""What the contract may say of each monitor: how often to look, and what is too much."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from modelmark.domain.later import later
from modelmark.domain.people import Role
from modelmark.domain.strict import Scalar, part


@part
class QualityMonitor:
    """Are inputs as clean as they were at training time?"""

    tolerance: float = 0.02
    """How much the share of missing, unseen, out-of-range or refused values may rise before somebody is told."""
    implausible: int | None = later(default=0)
    """How many values of an input that cannot be, by bounds learnt from training, a window may hold before somebody is told;
    null: as many as there are."""


class Cycle(StrEnum):
    """In what rhythm inputs may change although nothing is wrong."""

    NONE = "none"
    DAY = "day"
    WEEK = "week"


@part
class DriftMonitor:
    """Do inputs and scores still look like the training data?"""

    tolerance: float = 0.1
    """Smallest Jensen-Shannon distance (0 to 1) that matters."""
    false_alarm_rate: float = 0.01
    """Chance that a window without any drift raises an alert, all columns together."""
    min_rows: int = 200
    """Fewer rows than this: cannot tell."""
    cycle: Cycle | None = later(default=None)
    """What inputs follow: the hours of a day, those of a week, or none, so that every window is compared with the whole training
    table. Not said: it is learned from the times of the training table, else from what came a day or a week ago."""


@part
class PerformanceMonitor:
    """Is the model still as good as on its holdout?"""

    tolerance: float = 0.05
    """How much worse than on the holdout the objective may get: in units of the metric, or a share of the holdout's loss
    where that is in units of the target or of money (mae, rmse, pinball, expected_cost)."""
    confidence: float = 0.95
    """Confidence of the interval."""
    min_labels: int = 50
    """Fewer labels than this: cannot tell."""


@part
class VolumeMonitor:
    """Does as much come as usual, and do labels still come?"""

    tolerance: float = 0.5
    """How much fewer requests or labels than the least of what is usual somebody is told of, as a share: 0.5 is half, and also
    twice as many as the most."""
    cycle: Cycle = Cycle.WEEK
    """What is usual: the same hours of the weeks before, of the days before, or just the windows before."""


@part
class EstimateMonitor:
    """Is the model still as good as on its holdout, as far as its scores can tell while labels lack?"""

    tolerance: float = 0.05
    """How much worse than of the holdout the estimate may be, in the units of `performance.tolerance`."""
    confidence: float = 0.95
    """Confidence of the interval."""
    min_rows: int = 500
    """Fewer rows than this: cannot tell."""
    min_labels: int = 50
    """From so many matured labels on the estimate is held against them."""


@part
class CalibrationMonitor:
    """Do scores still mean what they did on the holdout?"""

    tolerance: float = 0.05
    """Largest cumulative gap between what scores said and what came that is tolerated, as a probability."""
    confidence: float = 0.95
    """Confidence of the interval."""
    min_labels: int = 100
    """Fewer labels than this: cannot tell."""


@part
class AlarmBudget:
    """How seldom a monitor of performance may page for nothing."""

    days: float = 30.0
    """At most one false page in so many days, on average."""


@part
class Escalation:
    """Who hears of an alert that nobody took in hand."""

    after_minutes: float = 30.0
    """So long it may stand without being acknowledged, assigned or snoozed."""
    to: Role = Role.OPERATIONS
    """Who is told then."""


@part
class AlertResponse:
    """Who answers for a monitor's alerts, and how."""

    owner: Role | None = None
    """Who is told first; not said: whoever hears of all alerts."""
    runbook: str | None = None
    """The address of what to do; it stands in messages, on the page and in what webhooks are sent."""
    escalation: Escalation | None = None
    """Not said: nobody else is told."""


@part
class Monitors:
    """What is watched after release. A monitor set to null does not run."""

    window_minutes: float = 60.0
    """How much traffic each look covers."""
    every_seconds: float = 60.0
    """How often to look."""
    quality: QualityMonitor | None = field(default_factory=QualityMonitor)
    """Data quality."""
    drift: DriftMonitor | None = field(default_factory=DriftMonitor)
    """Drift of inputs and scores."""
    performance: PerformanceMonitor | None = field(default_factory=PerformanceMonitor)
    """Live performance on labels."""
    plugins: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Settings of monitors that other packages bring, by name."""
    volume: VolumeMonitor | None = later(default=VolumeMonitor())
    """Volume of requests and labels."""
    estimate: EstimateMonitor | None = later(default=EstimateMonitor())
    """Performance without labels."""
    calibration: CalibrationMonitor | None = later(default=CalibrationMonitor())
    """Calibration drift on labels."""
    alarm_budget: AlarmBudget | None = later(default=None)
    """How seldom performance may page for nothing. With it, labels are also looked at as one sequence, which finds small losses
    that no window can tell. Without it looks share a month."""
    alerts: Mapping[str, AlertResponse] | None = later(default=None)
    """Who answers for the alerts of each monitor, by its name (also service and steward); `default` stands for all others."""

    @property
    def budget_minutes(self) -> float:
        """The span in which looks of performance may err as often as one."""
        return (self.alarm_budget.days if self.alarm_budget else 30.0) * 24 * 60


#: What an escalation's time may be, in minutes.
ESCALATION_RANGES: Final[Mapping[str, tuple[float, float]]] = {"after_minutes": (1.0, 10_080.0)}
#: The name under which a response stands for every monitor that has none of its own.
DEFAULT: Final = "default"
#: Who raises alerts beside the monitors of the catalogue.
NOT_MONITORS: Final = ("service", "steward")
_NONE: Final = AlertResponse()


def response_to(settings: Monitors, monitor: str) -> AlertResponse:
    """Who answers for alerts of a monitor; nobody in particular where the contract does not say."""
    known = settings.alerts or {}
    return known.get(monitor) or known.get(DEFAULT) or _NONE
