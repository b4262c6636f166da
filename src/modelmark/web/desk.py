"""What pages may do, beside what they read: the acts of governance and the papers about a version."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from modelmark.domain.people import Principal, Role
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.card import Card
from modelmark.governance.difference import Side
from modelmark.governance.people import People
from modelmark.governance.releases import Releases
from modelmark.governance.score import Scorecard
from modelmark.governance.signatures import Signatures
from modelmark.governance.standing import Standing


class Release(Protocol):
    def __call__(self, version: Version, *, share: float, by: Principal | None) -> Snapshot: ...


class Rollback(Protocol):
    def __call__(self, model: str, *, reason: str, by: Principal | None) -> tuple[Version, Version, Snapshot]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """release and rollback also move MLflow's aliases and tell people, waive renews the report; they are the application's."""

    people: People
    releases: Releases
    waive: Callable[..., Standing]
    release: Release
    rollback: Rollback
    side: Callable[[Version], Side]
    signatures: Callable[[Standing], Signatures]
    card: Callable[[Version], Card]
    notes: Callable[[Version, Role], str]
    scorecards: Callable[[Version], tuple[Scorecard, Scorecard]]
    environment: str
