"""An experiment as the audit tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from modelmark.domain.digest import Digest
from modelmark.domain.experiments.plan import ExperimentPlan


class ExperimentState(StrEnum):
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """digest: of the plan with the versions that its arms name, as it was registered before it began. versions: by arm.

    event: the last act about it. ended: None while it runs; then by whom, why, and what was found.
    """

    plan: ExperimentPlan
    digest: str
    versions: Mapping[str, Digest]
    registered: datetime
    registered_by: str
    event: int
    ended: datetime | None = None
    ended_by: str = ""
    reason: str = ""
    verdict: str = ""

    @property
    def state(self) -> ExperimentState:
        return ExperimentState.RUNNING if self.ended is None else ExperimentState.ENDED

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def ends_at(self) -> datetime:
        """At the latest."""
        return self.registered + timedelta(days=self.plan.stop.max_days)

    def arm_on_route(self, arm: str) -> str:
        """What records call an arm: no two experiments share one."""
        return f"{self.name}.{arm}"
