"""Which alert comes first, and whom it may wake: by the harm it stands for, never by its age."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import Final

from modelmark.domain.finding import Alert
from modelmark.domain.routes import ArmRole


class Harm(IntEnum):
    """From the worst on."""

    PERFORMANCE = 0
    """Answers are wrong."""
    OUTAGE = 1
    """Answers are refused, late or none, or nobody watches."""
    QUALITY = 2
    """Inputs are not what the model learned from."""
    DRIFT = 3
    """Inputs or scores are others than at training time, and may be right."""
    TERM = 4
    """What was agreed until a day has ended."""


class Severity(StrEnum):
    """What an alert asks of people."""

    PAGE = "page"
    """Somebody now: it does harm."""
    TICKET = "ticket"
    """Somebody, when they are at work."""
    INFORM = "inform"
    """Nobody: it is good to know."""


_OF_MONITOR: Final[Mapping[str, Harm]] = {
    "performance": Harm.PERFORMANCE, "service": Harm.OUTAGE, "steward": Harm.OUTAGE, "quality": Harm.QUALITY,
    "drift": Harm.DRIFT, "volume": Harm.OUTAGE, "estimate": Harm.PERFORMANCE, "calibration": Harm.PERFORMANCE,
}  # fmt: skip


def harm_of(alert: Alert) -> Harm:
    """A monitor of another package stands with quality."""
    if (alert.monitor, alert.subject) == ("quality", "requests"):
        return Harm.OUTAGE
    if alert.monitor == "steward" and (alert.subject == "age" or alert.subject.startswith("waiver of ")):
        return Harm.TERM
    return _OF_MONITOR.get(alert.monitor, Harm.QUALITY)


#: Drift that harms is told by the performance or quality it costs, and that pages.
_ASKS: Final[Mapping[Harm, Severity]] = {
    Harm.PERFORMANCE: Severity.PAGE, Harm.OUTAGE: Severity.PAGE, Harm.QUALITY: Severity.TICKET, Harm.DRIFT: Severity.INFORM,
    Harm.TERM: Severity.TICKET,
}  # fmt: skip


def severity_of(alert: Alert) -> Severity:
    return _ASKS[harm_of(alert)]


def by_harm(alerts: Iterable[Alert]) -> list[Alert]:
    """The worst first; of the same harm what concerns everybody, then the champion's, then by model and subject."""
    return sorted(
        alerts,
        key=lambda alert: (
            harm_of(alert), not alert.is_of_workspace, alert.details.arm != ArmRole.CHAMPION,
            alert.model, alert.version, alert.subject, alert.id,
        ),
    )  # fmt: skip
