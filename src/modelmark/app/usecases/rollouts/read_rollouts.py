"""Every rollout that goes on, each with its verdict as of now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelmark.domain.contract import Contract
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.release import State
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import NextAct, RolloutAct, RolloutReport
from modelmark.domain.rollouts.settings import Rollout, Stage, StageKind
from modelmark.domain.rollouts.verdict import Decision, Verdict
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.governance.rollouts import Rollouts
from modelmark.rollouts.next_act import deadline_of, next_act
from modelmark.rollouts.reading import read_stage
from modelmark.rollouts.verdict import judge


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRollouts:
    """Reads the journal's tables, so its price grows with what came in a stage."""

    workspace: Workspace
    ledger: Ledger
    rollouts: Rollouts
    contract_of: Callable[[Version], Contract]
    clock: Clock

    def __call__(self, model: str | None = None) -> list[RolloutReport]:
        return [self.one(progress) for progress in self.rollouts.going(model)]

    def one(self, progress: RolloutProgress) -> RolloutReport:
        """What cannot be read is a verdict of its own: it could not be evaluated."""
        version = self.ledger.version(progress.version)
        seen = self.rollouts.releases.routes.seen(version.model)
        contract, now = self.contract_of(version), self.clock()
        plan = contract.rollout or Rollout()
        stage = self._stage(progress, plan)
        if stage is None:
            following = self._staged(progress, plan)
            return RolloutReport(
                version=version,
                progress=progress,
                plan=plan,
                stage=None,
                verdict=None,
                next=following,
                at=now,
                seen=seen,
            )
        verdict = self._verdict(contract, progress, plan, stage)
        return RolloutReport(
            version=version, progress=progress, plan=plan, stage=stage, verdict=verdict, at=now, seen=seen,
            next=next_act(plan, progress, stage, verdict, now),
            ends_at=deadline_of(progress, stage) if progress.planned else None,
        )  # fmt: skip

    def _stage(self, progress: RolloutProgress, plan: Rollout) -> Stage | None:
        """Of what people moved by hand the stage is what it does now."""
        if progress.planned:
            return plan.stages[progress.stage] if 0 <= progress.stage < len(plan.stages) else None
        route = self.rollouts.releases.route(progress.model)
        arm = route.of(progress.version) if route else None
        if arm is None:
            return None
        shadow = self.ledger.state(progress.version) is State.SHADOW
        return Stage(kind=StageKind.SHADOW) if shadow else Stage(kind=StageKind.CANARY, share=arm.weight)

    def _verdict(self, contract: Contract, progress: RolloutProgress, plan: Rollout, stage: Stage) -> Verdict:
        try:
            seen = read_stage(
                self.workspace, contract, progress.version, kind=stage.kind, margins=plan.margins, since=progress.since,
                now=self.clock(),
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the tables, it is no evidence for the version
            why = f"What came of it could not be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})."
            return Verdict(decision=Decision.CANNOT_TELL, sentence=why, metrics=())
        return judge(plan, stage.kind, seen)

    def _staged(self, progress: RolloutProgress, plan: Rollout) -> NextAct:
        route = self.rollouts.releases.route(progress.model)
        if progress.held:
            return NextAct(act=None, sentence=f"It is held: {progress.held}.")
        if route is not None and route.canary is not None:
            return NextAct(act=None, sentence="It begins when the canary that runs has ended.")
        if route is not None and route.experiment:
            return NextAct(act=None, sentence="It begins when the experiment that runs has ended.")
        itself = plan.advances_itself
        return NextAct(
            act=RolloutAct.ADVANCE, sentence="No other canary runs: it may begin.", itself=itself, asks=not itself
        )
