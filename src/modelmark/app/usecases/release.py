"""Giving a version its mark and its traffic, with a message to every role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.errors import Missing
from modelmark.domain.people import Principal, Role
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.comments import Announcer
from modelmark.governance.published import done_although_unpublished
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """notes: release notes for one audience against what serves now. announce: None where nobody is to be told.
    behind: starts what follows the act and nobody waits for: a checkpoint, MLflow.
    catch_up: writes what an act that was cut short left unwritten. owner: whose name the audit has where no account acts."""

    releases: Releases
    notes: Callable[[Version, Role], str]
    announce: Announcer | None
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, version: Version, *, share: float = 1.0, by: Principal | None = None, expected: str | None = None
    ) -> Snapshot:
        """As `Releases.release`. The notes are written before the act and queued in its transaction, so none is lost."""
        self.catch_up()
        told = self._news(version) if self.announce else {}
        title = f"{version.model} {version.label} was released" + (f" to {share:.0%} of traffic" if share < 1 else "")

        def tell(snapshot: Snapshot) -> None:
            for role, notes in told.items():
                if self.announce:
                    self.announce(f"released-{snapshot.sequence}-{role}", role, title, notes)

        actor = by.login if by else self.owner
        with done_although_unpublished(self.behind):
            return self.releases.release(version, share=share, actor=actor, by=by, expected=expected, tell=tell)

    def _news(self, version: Version) -> dict[Role, str]:
        """The notes of every audience. Files of the version before may be gone: that is said, and holds no release up."""
        try:
            return {role: self.notes(version, role) for role in Role}
        except Missing as error:
            return dict.fromkeys(Role, f"What has changed cannot be told: {error.message}.")
