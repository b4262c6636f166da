"""What pages may do: accounts, approvals and comments in governance, and three acts with more behind them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from modelmark.domain.alerts.handling import Handling
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.finding import Alert
from modelmark.domain.people import Principal, Role
from modelmark.domain.release import WaiverRequest
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import RolloutAct
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.endpoint_keys import EndpointKeys
from modelmark.governance.people import People
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Releases


class Waive(Protocol):
    def __call__(
        self,
        version: Version,
        excuse: WaiverRequest,
        *,
        role: Role,
        name: str,
        by: Principal | None,
        expected: str | None,
    ) -> ReleaseStatus: ...


class Release(Protocol):
    def __call__(self, version: Version, *, share: float, by: Principal | None, expected: str | None) -> Snapshot: ...


class Rollback(Protocol):
    def __call__(
        self, model: str, *, reason: str, by: Principal | None, expected: str | None
    ) -> tuple[Version, Version, Snapshot]: ...


class MoveRollout(Protocol):
    def __call__(
        self,
        act: RolloutAct,
        version: Version,
        *,
        reason: str,
        by: Principal | None,
        expected: str | None,
        event: int | None,
    ) -> RolloutProgress | None: ...


class SendAgain(Protocol):
    def __call__(self, keys: Collection[str], *, by: Principal | None) -> int: ...


class StopExperiment(Protocol):
    def __call__(self, name: str, *, reason: str, by: Principal | None, event: int | None) -> Experiment: ...


class HandleAlert(Protocol):
    def __call__(self, id: int, handling: Handling, *, by: Principal | None) -> Alert: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """waive renews the report; release and rollback tell people, and leave the rest to the steward."""

    people: People
    releases: Releases
    waive: Waive
    release: Release
    rollback: Rollback
    move_rollout: MoveRollout
    stop_experiment: StopExperiment
    handle_alert: HandleAlert
    send_again: SendAgain
    endpoint_keys: EndpointKeys
