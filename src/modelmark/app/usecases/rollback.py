"""Taking traffic back, with a message to every role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from modelmark.domain.people import Principal, Role
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.comments import Announcer
from modelmark.governance.published import done_although_unpublished
from modelmark.governance.releases import Releases


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """behind: starts what follows the act and nobody waits for: a checkpoint, MLflow.
    catch_up: writes what an act that was cut short left unwritten. owner: whose name the audit has where no account acts."""

    releases: Releases
    announce: Announcer
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, model: str, *, reason: str = "", by: Principal | None = None, expected: str | None = None
    ) -> tuple[Version, Version, Snapshot]:
        """As `Releases.rollback`: what was left, what serves again, and the snapshot that says so."""
        self.catch_up()
        actor = by.login if by else self.owner
        with done_although_unpublished(self.behind):
            return self.releases.rollback(
                model, actor=actor, reason=reason, by=by, expected=expected, tell=partial(self._tell, model, reason)
            )

    def _tell(self, model: str, reason: str, left: Version, back: Version, snapshot: Snapshot) -> None:
        """Queued in the transaction of the act."""
        title = f"{model} was rolled back from {left.label} to {back.label}"
        for role in Role:
            self.announce(f"rolled-back-{snapshot.sequence}-{role}", role, title, reason or "No reason was given.")
