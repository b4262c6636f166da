"""One act about a rollout, with a message to whom it concerns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from modelmark.domain.people import Principal, Role
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import RolloutAct
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


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRollout:
    """behind, catch_up, owner: as for a release."""

    rollouts: Rollouts
    announce: Announcer
    behind: Callable[[], None]
    catch_up: Callable[[], None]
    owner: str

    def __call__(
        self, act: RolloutAct, version: Version, *, reason: str = "", by: Principal | None = None,
        expected: str | None = None, event: int | None = None, itself: bool = False,
    ) -> RolloutProgress | None:  # fmt: skip
        """Where it stands then; None: in no rollout any more. itself: nobody was asked. expected, event: as `Hand` has them."""
        self.catch_up()
        after = self.rollouts.ledger.last_event()
        number = after.sequence if after else 0

        def tell(said: str) -> None:
            title = f"{version.model} {version.label} {_DONE[act]}"
            for role in Role:
                self.announce(f"rollout-{version.id.short}-{number}-{role}", role, title, said or reason or title)

        actor = ITSELF if itself else by.login if by else self.owner
        hand = Hand(actor=actor, by=by, itself=itself, expected=expected, event=event, tell=tell)
        with done_although_unpublished(self.behind):
            return self._do(act, version, hand, reason)

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
