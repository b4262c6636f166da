"""One act about a rollout, with a message to whom it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import Missing
from modelmark.domain.people import Principal, Role
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import RolloutAct
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.governance.comments import Announcer
from modelmark.governance.published import done_although_unpublished
from modelmark.governance.rollouts import ITSELF, Hand, Rollouts

_DONE: Final = {
    RolloutAct.START: "began its rollout",
    RolloutAct.SHADOW: "is a shadow",
    RolloutAct.ADVANCE: "went on in its rollout",
    RolloutAct.HOLD: "is held in its rollout",
    RolloutAct.RESUME: "goes on in its rollout",
    RolloutAct.ABORT: "was taken out of its rollout",
}


#: The acts that may give a version traffic, or a copy of it.
_GIVES: Final = frozenset({RolloutAct.START, RolloutAct.SHADOW, RolloutAct.ADVANCE})


def _nobody(*_: object) -> None:
    """Nobody is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRollout:
    """notes: release notes for one audience against what serves now. announce: None where nobody is to be told. behind,
    catch_up, owner: as for a release."""

    rollouts: Rollouts
    notes: Callable[[Version, Role], str]
    announce: Announcer | None
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, act: RolloutAct, version: Version, *, reason: str = "", by: Principal | None = None,
        expected: str | None = None, event: int | None = None, itself: bool = False,
    ) -> RolloutProgress | None:  # fmt: skip
        """Where it stands then; None: in no rollout any more. itself: nobody was asked. expected, event: as `Hand` has them."""
        self.catch_up()
        actor = ITSELF if itself else by.login if by else self.owner
        tell = self._teller(act, version) if self.announce else _nobody
        hand = Hand(actor=actor, by=by, itself=itself, expected=expected, event=event, tell=tell)
        with done_although_unpublished(self.behind):
            return self._do(act, version, hand, reason)

    def _teller(self, act: RolloutAct, version: Version) -> Callable[[str, Snapshot | None], None]:
        """Notes are written before the act and queued in its transaction, as a release's are: under its snapshot's number."""
        announce, title = self.announce, f"{version.model} {version.label} {_DONE[act]}"
        last = self.rollouts.ledger.last_event()
        notes = {role: self._notes(version, role) if act in _GIVES else "" for role in Role}

        def tell(said: str, snapshot: Snapshot | None) -> None:
            gave = snapshot is not None and act in _GIVES
            about = f"released-{snapshot.sequence}" if snapshot and gave else f"rollout-{last.sequence if last else 0}"
            for role in Role:
                body = "\n\n".join(filter(None, (said, notes[role] if gave else ""))) or title
                if announce:
                    announce(f"{about}-{role}", role, f"{title}: {said}" if gave else title, body)

        return tell

    def _notes(self, version: Version, role: Role) -> str:
        """Files of the version before may be gone: that is said, and holds nothing up."""
        try:
            return self.notes(version, role)
        except Missing as error:
            return f"What has changed cannot be told: {error.message}."

    def _do(self, act: RolloutAct, version: Version, hand: Hand, reason: str) -> RolloutProgress | None:
        if act is RolloutAct.START:
            return self.rollouts.start(version, hand)
        if act is RolloutAct.SHADOW:
            self.rollouts.shadow(version, hand)
            return self.rollouts.of(version)
        if act is RolloutAct.ADVANCE:
            return self.rollouts.advance(version, hand)
        if act is RolloutAct.HOLD:
            return self.rollouts.hold(version, hand, reason)
        if act is RolloutAct.RESUME:
            return self.rollouts.resume(version, hand)
        self.rollouts.abort(version, hand, reason)
        return None
