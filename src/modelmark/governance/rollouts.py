"""The acts that take a version along its rollout: begun, on to the next stage, held, ended. Each is one transaction with its event.

Where a rollout stands is what the audit tells, and nothing else. Canaries and champions are `Releases`' acts; what is new here
are shadows, versions that wait, and stages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from modelmark.domain.audit import Act
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Conflict, ModelmarkError, NotPermitted
from modelmark.domain.people import Permission, Principal, credential
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import State, move
from modelmark.domain.rollouts.progress import STAGED, EndedRollout, RolloutProgress, ended_rollouts, rollouts_of
from modelmark.domain.rollouts.settings import Rollout, StageKind
from modelmark.domain.routes import Route, Snapshot
from modelmark.domain.version import MARK, Version
from modelmark.governance.audit import Audit
from modelmark.governance.people import People
from modelmark.governance.published import not_published
from modelmark.governance.releases import Effects, Releases, RolloutStep
from modelmark.governance.routes import shadow_route, without
from modelmark.seal.digests import digest_bytes

#: Who acts where nobody was asked.
ITSELF: Final = "steward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who acts, and what they saw. by: None for the workspace's owner, and where itself says that nobody was asked.

    expected: what served, as `Routes.seen` names it. event: the last act about the rollout that was seen; None: not looked at.
    tell: queues what people are told, in the same transaction: what was done, and the snapshot where workers hear of it.
    """

    actor: str
    by: Principal | None = None
    itself: bool = False
    expected: str | None = None
    event: int | None = None
    tell: Callable[[str, Snapshot | None], None] = lambda *_: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """Over a ledger, beside `Releases`."""

    ledger: Ledger
    audit: Audit
    clock: Clock
    releases: Releases
    effects: Effects
    people: People
    contract_of: Callable[[Version], Contract]

    def going(self, model: str | None = None) -> tuple[RolloutProgress, ...]:
        """Every rollout that goes on, oldest first."""
        return tuple(one for one in rollouts_of(self.ledger.events()) if model in (None, one.model))

    def ended(self, model: str | None = None) -> tuple[EndedRollout, ...]:
        """Those that ended, the newest first."""
        return tuple(one for one in ended_rollouts(self.ledger.events()) if model in (None, one.model))

    def of(self, version: Version) -> RolloutProgress | None:
        return next((one for one in self.going(version.model) if one.version == version.id), None)

    def require(self, version: Version, event: int | None = None) -> RolloutProgress:
        """Raises NotPermitted (NO_ROLLOUT) where none goes on, Conflict (ROLLOUT_CHANGED) where it is no more as it was seen."""
        found = self.of(version)
        if found is None:
            raise NotPermitted(
                f"{version.model} {version.label} is in no rollout", code="NO_ROLLOUT",
                hint=f"modelmark rollout start {version.argument}",
            )  # fmt: skip
        if event is not None and event != found.event:
            raise Conflict(
                f"the rollout of {version.model} {version.label} has moved since this was decided", code="ROLLOUT_CHANGED",
                hint="look again: modelmark rollout status",
            )  # fmt: skip
        return found

    def start(self, version: Version, hand: Hand) -> RolloutProgress:
        """Its first stage; where that is a canary's and another canary runs, it is staged until that one has ended."""
        rollout = self._planned(version)
        if self.of(version) is not None:
            raise NotPermitted(f"{version.model} {version.label} is in a rollout already", code="ROLLOUT_RUNS")
        if self.releases.route(version.model) is None:
            shadow_route(None, version)  # says that a champion comes first
        if self._waits(version, rollout, 0):
            self._stage(version, hand)
        else:
            self._enter(version, rollout, 0, hand)
        return self.require(version)

    def shadow(self, version: Version, hand: Hand) -> Snapshot:
        """By hand, with no plan: it stays a shadow until somebody moves it."""
        return self._shadow(version, hand, RolloutStep(stage=None, itself=hand.itself))

    def advance(self, version: Version, hand: Hand) -> RolloutProgress | None:
        """On to the next stage, or after the last one to all of the traffic: then it is in no rollout any more.

        Raises NotPermitted (ROLLOUT_HELD) while it is held, Conflict (CANARY_RUNS) while another canary runs.
        """
        progress = self.require(version, hand.event)
        rollout = self._planned(version)
        if progress.held:
            raise NotPermitted(
                f"the rollout of {version.label} is held: {progress.held}", code="ROLLOUT_HELD",
                hint=f"modelmark rollout resume {version.argument}",
            )  # fmt: skip
        after = progress.stage + 1
        last = after >= len(rollout.stages)
        if hand.itself and not (rollout.ships_itself if last else rollout.advances_itself):
            raise NotPermitted("its contract has people asked first", code="OWNER_DECIDES")
        if not last and self._waits(version, rollout, after):
            raise Conflict(
                f"{version.model} has a canary already, or an experiment",
                code="CANARY_RUNS",
                hint="it waits until that has ended",
            )
        self._enter(version, rollout, None if last else after, self._as_seen(version, progress, hand))
        return self.of(version)

    def hold(self, version: Version, hand: Hand, reason: str) -> RolloutProgress:
        """It keeps the traffic that it has, and nothing moves it on by itself."""
        return self._note(version, hand, Act.HELD_ROLLOUT, reason)

    def resume(self, version: Version, hand: Hand) -> RolloutProgress:
        return self._note(version, hand, Act.RESUMED_ROLLOUT, "")

    def abort(self, version: Version, hand: Hand, reason: str) -> Snapshot | None:
        """It loses whatever traffic it has. None where it had none that workers know of."""
        progress = self.require(version, hand.event)
        if hand.itself and not self._planned(version).rolls_back_itself:
            raise NotPermitted("its contract has people asked first", code="OWNER_DECIDES")
        hand = self._as_seen(version, progress, hand)
        if self.ledger.state(version.id) is not State.CANARY:
            return self._withdraw(version, hand, reason)
        _, _, snapshot = self.releases.rollback(
            version.model, actor=hand.actor, reason=reason, by=hand.by, itself=hand.itself,
            expected=hand.expected or self.releases.routes.seen(version.model), tell=lambda *told: hand.tell(reason, told[-1]),
        )  # fmt: skip
        return snapshot

    def _as_seen(self, version: Version, progress: RolloutProgress, hand: Hand) -> Hand:
        """In the act's own transaction once more: whoever held it, or moved it, in between was first."""

        def tell(said: str, snapshot: Snapshot | None) -> None:
            before = rollouts_of(self.ledger.events()[:-1])  # the last one is the act
            if progress not in before:
                raise Conflict(
                    f"the rollout of {version.model} {version.label} has moved since this was decided",
                    code="ROLLOUT_CHANGED", hint="look again: modelmark rollout status",
                )  # fmt: skip
            hand.tell(said, snapshot)

        return replace(hand, tell=tell)

    def _planned(self, version: Version) -> Rollout:
        rollout = self.contract_of(version).rollout
        if rollout is None:
            raise NotPermitted(
                f"the contract of {version.model} {version.label} plans no rollout", code="NO_PLAN", field="rollout",
                hint="move it by hand: modelmark release --shadow, or --share 5%; or write `rollout: {}` into the contract",
            )  # fmt: skip
        return rollout

    def _waits(self, version: Version, rollout: Rollout, stage: int) -> bool:
        route = self.releases.route(version.model)
        if route is not None and route.experiment:
            return True
        canary = route.canary if route else None
        return rollout.stages[stage].kind is StageKind.CANARY and canary is not None and canary.version != version.id

    def _enter(self, version: Version, rollout: Rollout, stage: int | None, hand: Hand) -> None:
        step = RolloutStep(stage=stage, itself=hand.itself)
        share = 1.0 if stage is None else rollout.stages[stage].share
        if share is None:
            if self.ledger.state(version.id) is State.SHADOW:
                self._next_shadow(version, hand, step)
            else:
                self._shadow(version, hand, step)
            return
        said = "it is champion" if stage is None else f"stage {stage + 1}: {share:.0%} of the traffic"
        self.releases.release(
            version, share=share, actor=hand.actor, by=hand.by, step=step, tell=lambda snapshot: hand.tell(said, snapshot),
            expected=hand.expected or self.releases.routes.seen(version.model),
        )  # fmt: skip

    def _permit(self, hand: Hand) -> None:
        if not hand.itself:
            self.people.permit(hand.by, Permission.RELEASE)

    def _stage(self, version: Version, hand: Hand) -> None:
        self._permit(hand)
        with self.ledger.transaction():
            seen = self.releases.routes.require_seen(version.model, hand.expected)
            mark = self._marked(version, State.STAGED)
            self.audit.append(
                hand.actor, Act.STAGED, version.id, model=version.model, stage=STAGED, seen=seen, files=_file(version, mark),
                **credential(hand.by),
            )  # fmt: skip
            hand.tell("it waits for its turn", None)
            self.effects.keep_mark(version, mark)

    def _shadow(self, version: Version, hand: Hand, step: RolloutStep) -> Snapshot:
        self._permit(hand)
        with self.ledger.transaction():
            seen = self.releases.routes.require_seen(version.model, hand.expected)
            route = shadow_route(self.releases.route(version.model), version)
            mark = self._marked(version, State.SHADOW)
            snapshot = self.releases.routes.next(route)
            self.audit.append(
                hand.actor, Act.SHADOWED, version.id, model=version.model, snapshot=snapshot.sequence, seen=seen,
                files=_file(version, mark), **step.told, **credential(hand.by),
            )  # fmt: skip
            hand.tell("it is a shadow: it is asked a copy of the live traffic", snapshot)
            self.effects.keep_mark(version, mark)
        self._publish(snapshot, f"{version.model} {version.label} is a shadow")
        return snapshot

    def _next_shadow(self, version: Version, hand: Hand, step: RolloutStep) -> None:
        """Another stage of the same kind changes nothing that workers know of."""
        self._permit(hand)
        with self.ledger.transaction():
            seen = self.releases.routes.require_seen(version.model, hand.expected)
            self.audit.append(
                hand.actor, Act.SHADOWED, version.id, model=version.model, seen=seen, **step.told, **credential(hand.by)
            )
            hand.tell("the next stage of its shadow begins", None)

    def _marked(self, version: Version, target: State) -> bytes:
        """Its mark, once nothing holds it up, and its new state. In the transaction of the act."""
        now = self.releases.releasable(version)
        move(now.state, target)
        evidence = self.ledger.evidence(version.id)
        mark = self.effects.issue_mark(version, evidence, now.approvals, now.waived, self.clock())
        self.ledger.set_state(version.id, target, expected=now.state)
        return mark

    def _withdraw(self, version: Version, hand: Hand, reason: str) -> Snapshot | None:
        self._permit(hand)
        with self.ledger.transaction():
            seen = self.releases.routes.require_seen(version.model, hand.expected)
            now = self.ledger.state(version.id)
            self.ledger.set_state(version.id, move(now, State.ROLLED_BACK), expected=now)
            route: Route | None = self.releases.route(version.model)
            on_it = route is not None and route.of(version.id) is not None
            snapshot = self.releases.routes.next(without(route, version.id)) if route is not None and on_it else None
            self.audit.append(
                hand.actor, Act.WITHDRAWN, version.id, model=version.model, reason=reason, seen=seen,
                **({"snapshot": snapshot.sequence} if snapshot else {}), **({"itself": True} if hand.itself else {}),
                **credential(hand.by),
            )  # fmt: skip
            hand.tell(reason, snapshot)
        if snapshot is not None:
            self._publish(snapshot, f"{version.model} {version.label} is a shadow no more")
        return snapshot

    def _note(self, version: Version, hand: Hand, act: Act, reason: str) -> RolloutProgress:
        self._permit(hand)
        with self.ledger.transaction():
            self.require(version, hand.event)
            self.audit.append(
                hand.actor, act, version.id, model=version.model, seen=self.releases.routes.seen(version.model),
                **({"reason": reason} if reason else {}), **({"itself": True} if hand.itself else {}), **credential(hand.by),
            )  # fmt: skip
            hand.tell(reason, None)
        return self.require(version)

    def _publish(self, snapshot: Snapshot, done: str) -> None:
        try:
            self.effects.publish(snapshot)
        except (OSError, ModelmarkError) as error:
            raise not_published(done, error) from error


def _file(version: Version, mark: bytes) -> dict[str, str]:
    return {f"{version.id.hex}/{MARK}": digest_bytes(mark).hex}
