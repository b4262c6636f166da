"""Who says yes to a version: until its traffic ends what counts now, after that what its mark holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import Missing, NoMark, NotPermitted, Tampered
from modelmark.domain.ports import ArtifactStore
from modelmark.domain.release import Approval, State
from modelmark.governance.release_status import ReleaseStatus
from modelmark.seal.keys import Verifier
from modelmark.seal.mark import approvals_in

#: The states of a version that had traffic and has none: whatever serves now, its approvals were about what served then.
PAST: Final = frozenset({State.RETIRED, State.ROLLED_BACK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Signatures:
    """missing: who has not approved, by name and role. past: read from the mark. fault: why the mark cannot be read."""

    approvals: tuple[Approval, ...]
    missing: tuple[str, ...] = ()
    past: bool = False
    fault: str = ""

    @property
    def whole(self) -> bool:
        """Everybody who signs has signed."""
        return bool(self.approvals) and not self.missing

    @property
    def names(self) -> str:
        return ", ".join(approval.name for approval in self.approvals)


def signatures(status: ReleaseStatus, artifacts: ArtifactStore, verifier: Callable[[], Verifier]) -> Signatures:
    """For reading, never for a release: that asks for approvals of the evidence and the champion as they are now."""
    if status.state not in PAST:
        return Signatures(approvals=status.approvals, missing=status.missing_signatures)
    version = status.version
    try:
        return Signatures(
            approvals=approvals_in(artifacts.folder(version.id), verifier(), expected=version.id), past=True
        )
    except (NoMark, Missing, NotPermitted, Tampered) as error:
        return Signatures(approvals=(), past=True, fault=error.message)
