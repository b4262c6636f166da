"""What a verdict calls for, in the stage that a version is in, at this moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import NextAct, RolloutAct
from modelmark.domain.rollouts.settings import AtDeadline, Rollout, Stage
from modelmark.domain.rollouts.verdict import Decision, Verdict


def deadline_of(progress: RolloutProgress, stage: Stage) -> datetime:
    return progress.since + timedelta(hours=stage.deadline_hours)


def next_act(plan: Rollout, progress: RolloutProgress, stage: Stage, verdict: Verdict, now: datetime) -> NextAct:
    """A version that is surely worse goes, held or not. One that is held goes no further. Else it goes on when its stage has
    had its least, or its deadline decides."""
    if verdict.decision is Decision.ROLL_BACK:
        itself = progress.planned and plan.rolls_back_itself
        return NextAct(act=RolloutAct.ABORT, sentence=verdict.sentence, itself=itself, asks=not itself)
    if progress.held:
        return NextAct(act=None, sentence=f"It is held: {progress.held}.")
    if not progress.planned:
        return NextAct(act=None, sentence=f"People move it by hand. {verdict.sentence}")
    missing = _missing(progress, stage, verdict, now)
    last = progress.stage + 1 >= len(plan.stages)
    proven = verdict.decision is Decision.SHIP or (not last and verdict.decision is Decision.WAIT)
    if not missing and proven:
        itself = plan.ships_itself if last else plan.advances_itself
        goes = (
            "It is proven: it may become champion" if last else "Nothing speaks against it: it may go to its next stage"
        )
        return NextAct(act=RolloutAct.ADVANCE, sentence=f"{goes}. {verdict.sentence}", itself=itself, asks=not itself)
    waits = " ".join(filter(None, (missing, verdict.sentence)))
    if now < deadline_of(progress, stage):
        return NextAct(act=None, sentence=waits)
    over = f"Its deadline passed on {deadline_of(progress, stage):%Y-%m-%d %H:%M} UTC. {waits}"
    if stage.at_deadline is AtDeadline.ROLL_BACK:
        itself = plan.rolls_back_itself
        return NextAct(act=RolloutAct.ABORT, sentence=over, itself=itself, asks=not itself)
    return NextAct(act=None, sentence=f"{over} {stage.owner.value.replace('_', ' ').capitalize()} decides.", asks=True)


def _missing(progress: RolloutProgress, stage: Stage, verdict: Verdict, now: datetime) -> str:
    """What the stage has not had yet; empty when it has had its least."""
    few = stage.least_requests - verdict.requests
    early = progress.since + timedelta(minutes=stage.least_minutes) - now
    said = []
    if few > 0:
        said.append(f"{few:,} of at least {stage.least_requests:,} requests are still to come.")
    if early > timedelta():
        said.append(f"It stays at least {stage.least_minutes:g} minutes, {early.total_seconds() / 60:.0f} more.")
    return " ".join(said)
