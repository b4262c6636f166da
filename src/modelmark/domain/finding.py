"""What a monitor saw in one window, and the alert people hear of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.later import later

#: What an alert is about that concerns every version, in place of one's label.
WORKSPACE: Final = "the workspace"


class Outcome(StrEnum):
    """Every window ends as one of these; a silent monitor is impossible."""

    OK = "ok"
    ALERT = "alert"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Half-open span of time, UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One monitor's word on one subject (a column, the score, a metric) of one version in one window.

    measured: the effect, in the unit the sentence names; low, high: its interval; limit: what is tolerated. column: it is
    about one column of many, and those that alert together are one alert. label, arm: what people call the version, and
    where it stood on its route; empty for one that serves no more.
    """

    monitor: str
    model: str
    version: Digest
    subject: str
    window: Window
    outcome: Outcome
    sentence: str
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    n: int = 0
    column: bool = later(default=False)
    label: str = later(default="")
    arm: str = later(default="")


class Rating(StrEnum):
    """What whoever dealt with an alert says of it afterwards."""

    USEFUL = "useful"
    NOISE = "noise"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDetails:
    """What came to be known of an alert beside its story.

    label, arm: as for a finding. subjects: the columns that alert together, the first one that of the story; empty for a
    story about one thing. reopened: how often it was over and came back. ended: why it is over, where not because all was
    well again. acknowledged_by, assigned_to: people's names; snoozed_until: it does not ask for anybody before. escalated_to: the
    role that was told since nobody had it in hand. rated: whether it was worth somebody's time, by rated_by; None while nobody
    says.
    """

    label: str = later(default="")
    arm: str = later(default="")
    subjects: tuple[str, ...] = later(default=())
    reopened: int = later(default=0)
    ended: str = later(default="")
    acknowledged_by: str = later(default="")
    acknowledged_at: datetime | None = later(default=None)
    assigned_to: str = later(default="")
    snoozed_until: datetime | None = later(default=None)
    escalated_to: str = later(default="")
    escalated_at: datetime | None = later(default=None)
    rated: Rating | None = later(default=None)
    rated_by: str = later(default="")
    rated_at: datetime | None = later(default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Findings of one story, told once: same model, version, monitor and subject. closed_at None: still open."""

    id: int
    model: str
    version: Digest
    monitor: str
    subject: str
    sentence: str
    opened_at: datetime
    seen_at: datetime
    count: int
    closed_at: datetime | None
    details: AlertDetails = AlertDetails()

    def is_snoozed(self, now: datetime) -> bool:
        until = self.details.snoozed_until
        return until is not None and now < until

    @property
    def is_in_hand(self) -> bool:
        """Somebody has seen it, or is to see to it."""
        return bool(self.details.acknowledged_by or self.details.assigned_to)

    @property
    def handling(self) -> str:
        """Who has it, in words; empty while nobody does."""
        details, said = self.details, []
        if details.acknowledged_by:
            said.append(f"acknowledged by {details.acknowledged_by}")
        if details.assigned_to:
            said.append(f"assigned to {details.assigned_to}")
        if details.snoozed_until:
            said.append(f"snoozed until {details.snoozed_until:%Y-%m-%d %H:%M} UTC")
        if details.escalated_to:
            said.append(f"escalated to {details.escalated_to}")
        if details.rated:
            said.append(f"{details.rated.value}, says {details.rated_by}")
        return ", ".join(said)

    @property
    def subjects(self) -> tuple[str, ...]:
        """Everything it is about, one name at least."""
        return self.details.subjects or (self.subject,)

    @property
    def topic(self) -> str:
        """What it is about, in few words."""
        return self.subject if len(self.subjects) == 1 else f"{len(self.subjects)} columns"

    @property
    def about(self) -> str:
        """Which version, and which arm of its route: `v3, canary`."""
        label = self.details.label or self.version.short
        return f"{label}, {self.details.arm}" if self.details.arm else label

    @property
    def place(self) -> str:
        """The same with its model: `loans v3, canary`."""
        return WORKSPACE if self.is_of_workspace else f"{self.model} {self.about}"

    @property
    def is_of_workspace(self) -> bool:
        """A fault of what all versions share; it stays when its version goes."""
        return self.details.label == WORKSPACE
