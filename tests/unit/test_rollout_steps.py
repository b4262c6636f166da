"""What is done about a rollout by itself: on, back, nothing, or a question to its owner; and how soon a failing canary goes."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from test_releases import ONE, THREE, TWO
from test_rollout_acts import HALF, PLAN, TEN, Way

from builders.domain import NOON
from modelmark.app.usecases.rollouts.guard_canaries import GuardCanaries
from modelmark.app.usecases.rollouts.move_rollout import MoveRollout
from modelmark.app.usecases.rollouts.read_rollouts import ReadRollouts
from modelmark.app.usecases.rollouts.turn_rollouts import TurnRollouts
from modelmark.domain.endpoint.arms_now import ArmsOf, arms_now, end_arms, tell_arms
from modelmark.domain.errors import Conflict, NotPermitted, OutputInvalid, Rejected
from modelmark.domain.people import Role
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.release import State
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import KEPT, NextAct, RolloutAct, RolloutReport
from modelmark.domain.rollouts.settings import AtDeadline, Margins, Rollout, Stage, StageKind
from modelmark.domain.rollouts.verdict import Decision, Verdict
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.rollouts.next_act import next_act
from modelmark.serving.models import LiveArm
from modelmark.serving.rollout.arm_outcomes import ArmOutcomes
from modelmark.steward.jobs import rollout as job
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore

STAGE = Stage(kind=StageKind.CANARY, share=0.1, least_requests=100, least_minutes=10, deadline_hours=1)
TWO_STAGES = Rollout(stages=(STAGE, replace(STAGE, share=0.5)), ships_itself=True)
FIRST = RolloutProgress(model="loans", version=TWO.id, stage=0, began=NOON, since=NOON, event=7)
LAST = replace(FIRST, stage=1)


def said(decision: Decision, requests: int = 200) -> Verdict:
    return Verdict(decision=decision, sentence=f"It says {decision}.", metrics=(), requests=requests)


def following(
    decision: Decision,
    *,
    at: RolloutProgress = FIRST,
    minutes: float = 30,
    requests: int = 200,
    plan: Rollout = TWO_STAGES,
) -> NextAct:
    return next_act(plan, at, plan.stages[at.stage], said(decision, requests), NOON + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("found", "act", "itself", "asks"),
    [
        pytest.param(following(Decision.WAIT), RolloutAct.ADVANCE, True, False, id="nothing speaks against it: on"),
        pytest.param(following(Decision.SHIP), RolloutAct.ADVANCE, True, False, id="proven early: on"),
        pytest.param(following(Decision.WAIT, at=LAST), None, False, False, id="champion takes proof"),
        pytest.param(following(Decision.SHIP, at=LAST), RolloutAct.ADVANCE, True, False, id="proven: champion"),
        pytest.param(following(Decision.CANNOT_TELL), None, False, False, id="what could not be measured goes nowhere"),
        pytest.param(following(Decision.CANNOT_TELL, at=LAST), None, False, False, id="nor does it ship"),
        pytest.param(following(Decision.SHIP, requests=99), None, False, False, id="too few requests"),
        pytest.param(following(Decision.SHIP, minutes=9), None, False, False, id="too early"),
        pytest.param(following(Decision.ROLL_BACK, minutes=1, requests=9), RolloutAct.ABORT, True, False, id="worse: at once"),
        pytest.param(following(Decision.WAIT, at=LAST, minutes=61), None, False, True, id="its deadline asks the owner"),
        pytest.param(following(Decision.ROLL_BACK, at=replace(FIRST, held="x")), RolloutAct.ABORT, True, False,
                     id="held, and worse all the same"),
        pytest.param(following(Decision.SHIP, at=replace(LAST, held="x")), None, False, False, id="held"),
        pytest.param(following(Decision.SHIP, at=replace(LAST, planned=False)), None, False, False, id="by hand"),
        pytest.param(following(Decision.ROLL_BACK, at=replace(FIRST, planned=False)), RolloutAct.ABORT, False, True,
                     id="by hand, and worse"),
        pytest.param(following(Decision.WAIT, plan=replace(TWO_STAGES, advances_itself=False)), RolloutAct.ADVANCE, False, True,
                     id="people are asked before the next stage"),
        pytest.param(following(Decision.SHIP, at=LAST, plan=replace(TWO_STAGES, ships_itself=False)), RolloutAct.ADVANCE,
                     False, True, id="people are asked before it is champion"),
        pytest.param(following(Decision.ROLL_BACK, plan=replace(TWO_STAGES, rolls_back_itself=False)), RolloutAct.ABORT,
                     False, True, id="people are asked before it goes"),
    ],
)  # fmt: skip
def test_a_verdict_calls_for(found: NextAct, act: RolloutAct | None, itself: bool, asks: bool):
    assert (found.act, found.itself, found.asks) == (act, itself, asks), found.sentence


def test_at_its_deadline_a_version_goes_where_the_contract_says_so():
    out = replace(STAGE, at_deadline=AtDeadline.ROLL_BACK)
    plan = replace(TWO_STAGES, stages=(STAGE, out))
    assert following(Decision.WAIT, at=LAST, minutes=61, plan=plan).act is RolloutAct.ABORT
    assert following(Decision.WAIT, at=LAST, minutes=59, plan=plan).act is None
    assert following(Decision.SHIP, at=LAST, minutes=61, plan=plan).act is RolloutAct.ADVANCE, "proven is proven"


class Turn(Way):
    """The desk with what the steward does about rollouts."""

    def __init__(self, plan: Rollout = PLAN) -> None:
        super().__init__(plan)
        self.book = MemoryMonitoringStore()
        self.messages: list[tuple[str, Role, str]] = []
        self.verdict = said(Decision.WAIT)
        self.read = ReadRollouts(
            workspace=Workspace.__new__(Workspace), ledger=self.ledger, rollouts=self.rollouts,
            contract_of=lambda _: self.contract, clock=self.clock,
        )  # fmt: skip
        self.move = MoveRollout(
            rollouts=self.rollouts, notes=lambda v, role: f"notes for {role}", announce=self.announced,
            behind=lambda: None, catch_up=lambda: None, owner="ops",
        )  # fmt: skip
        self.turn = TurnRollouts(
            read=self.reports, move=self.moved, monitoring_store=self.book, announce=self.announced
        )
        self.counts: list[ArmsOf] = []
        self.guard = GuardCanaries(
            ledger=self.ledger, rollouts=self.rollouts, contract_of=lambda _: self.contract, clock=self.clock,
            arms=lambda: self.counts, end=self.ended,
        )  # fmt: skip

    def ended(self, version: Version, reason: str, event: int) -> object:
        return self.move(RolloutAct.ABORT, version, reason=reason, event=event, itself=True)

    def announced(self, key: str, role: Role, title: str, body: str) -> None:
        if key not in [one[0] for one in self.messages]:
            self.messages.append((key, role, title))

    def reports(self) -> list[RolloutReport]:
        found = []
        for one in self.rollouts.going():
            version, stage = self.ledger.version(one.version), PLAN.stages[one.stage] if one.stage >= 0 else None
            plan = self.contract.rollout or Rollout()
            act = next_act(plan, one, stage, self.verdict, self.now) if stage else self.read._staged(one, plan)
            found.append(
                RolloutReport(version=version, progress=one, plan=plan, stage=stage, verdict=self.verdict, next=act, at=self.now,
                              seen=self.desk.routes.seen("loans"))
            )  # fmt: skip
        return found

    def moved(self, act: RolloutAct, report: RolloutReport) -> Any:
        return self.move(act, report.version, expected=report.seen, event=report.progress.event, itself=True)

    def begun(self) -> Turn:
        self.move(RolloutAct.START, self.ready(TWO))
        self.now += timedelta(hours=1)
        return self

    def later(self) -> list[str]:
        found = self.turn()
        self.now += timedelta(hours=1)
        return found


def test_a_good_version_goes_all_the_way_by_itself_and_everybody_hears_of_each_step():
    turn = Turn().begun()
    turn.verdict = said(Decision.SHIP, 5000)
    states = []
    while turn.rollouts.going():
        assert turn.later() == []
        states.append(turn.ledger.state(TWO.id))
    assert states == [State.CANARY, State.CANARY, State.CHAMPION]
    assert {role for _, role, _ in turn.messages} == set(Role)
    assert len({key for key, _, _ in turn.messages}) == 4 * len(Role)
    snapshot = turn.published[-1].sequence
    assert {key for key, _, _ in turn.messages if key.startswith(f"released-{snapshot}-")} == {
        f"released-{snapshot}-{role}" for role in Role
    }, "as for any release, so that scorecards know that people were told"


def test_a_worse_version_goes_at_once_and_the_others_go_on():
    turn = Turn().begun()
    turn.move(RolloutAct.START, turn.ready(THREE))
    turn.verdict = said(Decision.ROLL_BACK)
    turn.later()
    assert turn.rollouts.going() == ()
    assert (turn.ledger.state(TWO.id), turn.ledger.state(ONE.id)) == (State.ROLLED_BACK, State.CHAMPION)


def test_an_owner_is_asked_once_for_the_same_thing():
    turn = Turn(replace(PLAN, advances_itself=False)).begun()
    turn.verdict = said(Decision.WAIT, 5000)
    before = len(turn.messages)
    for _ in range(3):
        assert turn.later() == []
    assert [(role, title) for _, role, title in turn.messages[before:]] == [(Role.OPERATIONS, "loans v2 may go on")]
    assert turn.book.checkpoint(f"{KEPT}{TWO.id.hex}")["next"]["asks"] is True


def test_who_was_quicker_is_no_fault_and_what_cannot_be_done_is_told():
    turn = Turn().begun()
    turn.verdict = said(Decision.SHIP, 5000)

    def refused(error: Exception) -> list[str]:
        def move(act: RolloutAct, report: RolloutReport) -> None:
            raise error

        return replace(turn.turn, move=move)()

    assert refused(Conflict("somebody was first", code="CHAMPION_CHANGED")) == []
    (said_,) = refused(NotPermitted("the files are gone", code="GONE"))
    assert "loans v2 stays in its rollout: the files are gone" in said_


def test_looks_at_rollouts_take_a_tenth_of_the_time_at_most():
    clock, looks = [0.0], []

    def turn() -> Sequence[str]:
        looks.append(clock[0])
        clock[0] += 1.0
        return ()

    one = job.TurnRollouts(turn=turn, clock=lambda: clock[0])
    context: Any = None
    for _ in range(60):
        one.run(context)
        clock[0] += 1.0
    assert looks == [10.0 * n for n in range(7)]


# Between the looks: what workers count


def counted(champion: tuple[int, int], canary: tuple[int, int], *, process: str = "w1", alive: bool = True) -> ArmsOf:
    counts = {("loans", ONE.id.hex, "champion"): champion, ("loans", TWO.id.hex, "canary"): canary}
    return ArmsOf(process, alive, counts)


def canary(plan: Rollout = replace(PLAN, stages=(TEN, HALF))) -> Turn:
    turn = Turn(plan)
    turn.move(RolloutAct.START, turn.ready(TWO))
    turn.counts = [counted((1000, 500), (0, 0))]  # an outage of long ago
    assert turn.guard() == []
    return turn


def test_a_canary_whose_answers_fail_goes_at_the_next_look():
    turn = canary()
    turn.counts = [counted((1200, 500), (20, 20))]
    (said_,) = turn.guard()
    assert "20 of 20 requests failed" in said_
    assert (turn.ledger.state(TWO.id), turn.arms()) == (State.ROLLED_BACK, [("champion", "v1", 1.0)])
    assert turn.guard() == []
    assert (turn.ledger.events()[-1].actor, turn.ledger.events()[-1].act) == ("steward", "rolled back")


@pytest.mark.parametrize(
    ("champion", "candidate"),
    [
        pytest.param((1200, 500), (2, 2), id="two failures are no evidence"),
        pytest.param((1200, 660), (20, 16), id="both fail: an outage behind them"),
        pytest.param((1200, 500), (500, 0), id="all is well"),
        pytest.param((1000, 500), (20, 20), id="nobody asked the champion"),
    ],
)
def test_a_canary_stays_where(champion: tuple[int, int], candidate: tuple[int, int]):
    turn = canary()
    turn.counts = [counted(champion, candidate)]
    assert turn.guard() == []
    assert turn.ledger.state(TWO.id) is State.CANARY


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(replace(PLAN, stages=(TEN,), rolls_back_itself=False), id="people are asked"),
        pytest.param(replace(PLAN, stages=(TEN,), margins=Margins(errors=None)), id="errors are not asked"),
        pytest.param(PLAN, id="a shadow answers nobody"),
    ],
)
def test_nothing_is_ended_between_the_looks_where(plan: Rollout):
    turn = canary(plan)
    turn.counts = [counted((1200, 500), (20, 20))]
    assert turn.guard() == []


def test_what_the_canary_before_left_behind_is_not_this_ones():
    turn = canary()
    counts = {("loans", ONE.id.hex, "champion"): (1200, 500), ("loans", THREE.id.hex, "canary"): (20, 20)}
    turn.counts = [ArmsOf("w1", True, counts)]
    assert turn.guard() == []


def test_counts_of_a_worker_that_is_gone_still_count():
    turn = canary()
    turn.counts = [counted((1100, 500), (4, 4))]
    assert turn.guard() == []
    turn.counts = [counted((100, 0), (16, 16), process="w2")]
    (said_,) = turn.guard()
    assert "20 of 20" in said_


def test_workers_that_die_one_after_the_other_are_the_canarys_doing():
    turn = canary()
    turn.counts = [counted((1000, 500), (0, 0), alive=False)]
    assert turn.guard() == [], "one may die of anything"
    turn.now += timedelta(seconds=30)
    turn.counts.append(counted((5, 0), (0, 0), process="w2", alive=False))
    (said_,) = turn.guard()
    assert "2 worker processes died within 60 seconds" in said_
    again = canary()
    again.counts = [counted((1000, 500), (0, 0), alive=False)]
    again.guard()
    again.now += timedelta(minutes=5)
    again.counts.append(counted((5, 0), (0, 0), process="w2", alive=False))
    assert again.guard() == [], "five minutes apart"


def test_what_a_worker_counts_is_read_whole_and_a_dead_one_is_known(tmp_path):
    workspace = Workspace(tmp_path)
    arm: Any = LiveArm("canary", 0.1, _Version())  # type: ignore[arg-type]
    outcomes = ArmOutcomes()
    outcomes.follow({"loans": _Route([LiveArm("champion", 0.9, _Version()), arm])})  # type: ignore[dict-item,arg-type]
    outcomes.answered(arm, ServedBy.MODEL)
    outcomes.answered(arm, ServedBy.CONSTANT)
    outcomes.refused(arm, OutputInvalid("NaN"))
    outcomes.refused(arm, Rejected("the caller's own fault", code="OUT_OF_RANGE"))
    outcomes.tell(workspace, "w1")
    (found,) = arms_now(workspace)
    assert (found.process, found.alive) == ("w1", True)
    assert found.counts == {("loans", "0a", "champion"): (0, 0), ("loans", "0a", "canary"): (3, 2)}
    dead = subprocess.run([os.sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)  # type: ignore[attr-defined]
    (workspace.runtime / "arms-w2").write_text(f'{{"pid": {int(dead.stdout)}, "arms": []}}')
    (workspace.runtime / "arms-w3").write_text("{")
    assert [(one.process, one.alive) for one in arms_now(workspace)] == [("w1", True), ("w2", False)]
    end_arms(workspace, "w1")
    tell_arms(workspace, "w4", {})
    assert [one.process for one in arms_now(workspace)] == ["w2", "w4"]


class _Version:
    model = "loans"

    class id:
        hex = "0a"


class _Route:
    def __init__(self, arms: list[LiveArm]) -> None:
        self.arms = arms


def test_quick_looks_go_on_beside_a_step_that_takes_long_and_after_one_that_failed(monkeypatch):
    monkeypatch.setattr("modelmark.steward.loop.QUICK_SECONDS", 0.01)
    looks, stop, lines = [], threading.Event(), []

    def quick() -> list[str]:
        looks.append(None)
        if len(looks) == 2:
            raise RuntimeError("planted")
        return ["it was ended"] if len(looks) == 3 else []

    class Long:
        name, interval, checkpoint, owner = "long", timedelta(), "", None

        def run(self, context: Any) -> bool:
            for _ in range(500):
                if len(looks) > 4:
                    break
                stop.wait(0.01)
            stop.set()
            return True

    steward = Steward(
        [Long()], ServingVersions(list), MemoryMonitoringStore(), lambda: NOON, log=lines.append, quick=quick
    )  # type: ignore[list-item]
    steward.run(stop)
    assert len(looks) > 4
    assert lines == ["modelmark steward: quick looks failed: RuntimeError: planted", "modelmark steward: it was ended"]
