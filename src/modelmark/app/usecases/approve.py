"""Approving a version's evidence in the name of one signer or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelmark.domain.people import Principal, Role
from modelmark.domain.version import Version
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """owner: whose name the audit has where no account acts."""

    releases: Releases
    owner: str

    def __call__(
        self,
        version: Version,
        signers: Sequence[tuple[Role, str]],
        *,
        comment: str = "",
        by: Principal | None = None,
        expected: str | None = None,
    ) -> ReleaseStatus:
        """As `Releases.approve` for each. signers: (role, name). Nobody's yes is kept unless all may be said."""
        for role, name in signers:
            self.releases.ticket(version, role=role, name=name, by=by)
        actor, status = by.login if by else self.owner, self.releases.status(version)
        for role, name in signers:
            status = self.releases.approve(
                version, role=role, name=name, comment=comment, actor=actor, by=by, expected=expected
            )
        return status
