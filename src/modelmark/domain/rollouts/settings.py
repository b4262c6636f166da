"""What the contract may say of the way from mark to champion: stages, and what is tolerated on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Final

from modelmark.domain.people import Role
from modelmark.domain.strict import part


class StageKind(StrEnum):
    """How a version meets live traffic: it is asked a copy of it and answers nobody, or it answers a share of it."""

    SHADOW = "shadow"
    CANARY = "canary"


class AtDeadline(StrEnum):
    """What becomes of a stage that has not ended by its deadline: it stands until its owner decides, or the version goes."""

    HOLD = "hold"
    ROLL_BACK = "roll_back"


@part
class Stage:
    """One step of a rollout. It ends when it has had its least requests and time, and nothing speaks against the version."""

    kind: StageKind
    """What the version does in it."""
    share: float | None = None
    """The canary's part of the traffic."""
    least_requests: int = 500
    """It answers, or is asked, at least so many requests."""
    least_minutes: float = 30.0
    """It lasts at least so long."""
    deadline_hours: float = 72.0
    """It lasts at most so long."""
    at_deadline: AtDeadline = AtDeadline.HOLD
    """What happens then."""
    owner: Role = Role.OPERATIONS
    """Who decides where it may not go on by itself, and who is told."""


@part
class Margins:
    """How much worse than the champion is tolerated. Null: not asked."""

    errors: float | None = 0.005
    """More requests, as a share of all, that end in an error or a fallback: crashes, NaN, deadlines."""
    latency_ratio: float | None = 1.5
    """The slowest 1 of 100 answers may take so many times as long."""
    latency_floor_ms: float = 10.0
    """Below this no answer is too slow, whatever the champion's takes."""
    disagreement: float | None = 0.2
    """Share of rows that a shadow decides otherwise, or for which its value is further off than `score` tolerates."""
    score: float | None = 0.05
    """Shift of the mean score; of a regression, in standard deviations of the champion's values."""
    quality: float | None = 0.005
    """Worse on labels that have come: in points of the error rate, the Brier score or the log loss; for a loss in units of
    the target or of money, a share of the champion's."""
    fairness: float | None = 0.05
    """A group of `data.sensitive` may be decided for less often by so much, against the champion."""


def _usual() -> tuple[Stage, ...]:
    canaries = (Stage(kind=StageKind.CANARY, share=share) for share in (0.05, 0.25, 0.5))
    return (Stage(kind=StageKind.SHADOW), *canaries)


@part
class Rollout:
    """How a version gets its traffic. Without this part of the contract people move it by hand."""

    stages: tuple[Stage, ...] = field(default_factory=_usual)
    """In order: shadows first, then canaries of growing shares. After the last one it becomes champion."""
    margins: Margins = field(default_factory=Margins)
    """What is tolerated."""
    false_decision_rate: float = 0.05
    """Chance that a version as good as the champion is rolled back, or one worse than tolerated ships: over all metrics,
    all stages and all looks together."""
    advances_itself: bool = True
    """From stage to stage nobody is asked; else the stage's owner."""
    ships_itself: bool = False
    """It becomes champion without anybody's being asked, once it is proven."""
    rolls_back_itself: bool = True
    """It loses its traffic at once when it is found worse than tolerated; else its owner is told."""


#: What these may be; shares of stages have rules of their own.
STAGE_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "least_requests": (1, 100_000_000),
    "least_minutes": (0.0, 525_600.0),
    "deadline_hours": (0.01, 8_760.0),
}
MARGIN_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "errors": (0.0, 1.0),
    "latency_ratio": (1.0, 100.0),
    "latency_floor_ms": (0.0, 60_000.0),
    "disagreement": (0.0, 1.0),
    "score": (0.0, 10.0),
    "quality": (0.0, 1.0),
    "fairness": (0.0, 1.0),
}
ROLLOUT_RANGES: Final[Mapping[str, tuple[float, float]]] = {"false_decision_rate": (1e-6, 0.2)}
#: At most so many stages: the chance of a false decision is divided among them.
MOST_STAGES: Final = 12
