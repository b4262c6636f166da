"""A rollout as people and the steward see it: where it stands, what was found, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.settings import Rollout, Stage
from modelmark.domain.rollouts.verdict import Verdict
from modelmark.domain.version import Version

#: Under this and the version's digest the steward keeps what it found when it last looked.
KEPT: Final = "rollout/"


class RolloutAct(StrEnum):
    """What can be done with a rollout."""

    START = "start"
    SHADOW = "shadow"
    """By hand, whatever the contract plans."""
    ADVANCE = "advance"
    HOLD = "hold"
    RESUME = "resume"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextAct:
    """act: what is called for now; None: to wait. itself: the contract lets it be done without anybody's being asked.

    asks: its owner has to decide.
    """

    act: RolloutAct | None
    sentence: str
    itself: bool = False
    asks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutReport:
    """plan: of the version's contract, or what is usual where it has none. stage: None while it is staged. seen: what served
    when it was read."""

    version: Version
    progress: RolloutProgress
    plan: Rollout
    stage: Stage | None
    verdict: Verdict | None
    next: NextAct
    at: datetime
    seen: str
    ends_at: datetime | None = None

    @property
    def place(self) -> str:
        """`stage 2 of 4: canary, 5%`."""
        if self.stage is None:
            return "staged"
        share = f", {self.stage.share * 100:.3g}% of the traffic" if self.stage.share is not None else ""
        number = (
            f"stage {self.progress.stage + 1} of {len(self.plan.stages)}: " if self.progress.planned else "by hand: "
        )
        return f"{number}{self.stage.kind.value}{share}"
