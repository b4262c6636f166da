"""Letting what one gate says through, in a signer's name, until a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.people import Principal, Role
from modelmark.domain.release import WaiverRequest
from modelmark.domain.version import Version
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class Waive:
    """report: writes the report of a version. owner: whose name the audit has where no account acts."""

    releases: Releases
    report: Callable[[ReleaseStatus], Path]
    owner: str

    def __call__(
        self,
        version: Version,
        excuse: WaiverRequest,
        *,
        role: Role,
        name: str,
        by: Principal | None = None,
        expected: str | None = None,
    ) -> ReleaseStatus:
        """As `Releases.waive`; the report then tells of it."""
        actor = by.login if by else self.owner
        status = self.releases.waive(version, excuse, role=role, name=name, actor=actor, by=by, expected=expected)
        self.report(status)
        return status
