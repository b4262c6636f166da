"""What people may do with an alert."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.finding import Rating


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledge:
    """Somebody has seen it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """Somebody sees to it. to: a name."""

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snooze:
    """It asks for nobody before."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """It is over because somebody says so; where its monitor still alerts, a new one begins."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Somebody says afterwards whether it was worth their time. The last word counts."""

    rating: Rating


Handling = Acknowledge | Assign | Snooze | Close | Rate
