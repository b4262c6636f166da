"""A version along its rollout: what each act does, what it refuses, and that one champion serves at every instant."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from test_releases import ONE, THREE, TWO, World

from builders.domain import contract
from modelmark.domain.errors import Conflict, NotPermitted
from modelmark.domain.people import Permission, Principal
from modelmark.domain.release import State
from modelmark.domain.rollouts.progress import STAGED
from modelmark.domain.rollouts.settings import Rollout, Stage, StageKind
from modelmark.domain.routes import ArmRole
from modelmark.governance.audit import verify_chain
from modelmark.governance.rollouts import ITSELF, Hand, Rollouts

SHADOW, TEN, HALF = (
    Stage(kind=StageKind.SHADOW), Stage(kind=StageKind.CANARY, share=0.1), Stage(kind=StageKind.CANARY, share=0.5),
)  # fmt: skip
PLAN = Rollout(stages=(SHADOW, TEN, HALF), ships_itself=True)
OPS, ALONE = Hand(actor="ops"), Hand(actor=ITSELF, itself=True)


class Way(World):
    """The desk with ONE serving, and rollouts beside it."""

    def __init__(self, plan: Rollout | None = PLAN) -> None:
        super().__init__(contract(rollout=plan))
        self.serving(ONE)
        self.told: list[str] = []
        self.rollouts = Rollouts(
            ledger=self.ledger, audit=self.audit, clock=self.clock, releases=self.desk, effects=self.desk._effects,
            people=self.desk._sign_off.people, contract_of=lambda _: self.contract,
        )  # fmt: skip

    def arms(self) -> list[tuple[str, str, float]]:
        labels = {version.id: version.label for version in self.ledger.versions()}
        route = self.published[-1].route("loans")
        assert route is not None
        return [(arm.role.value, labels[arm.version], arm.weight) for arm in route.arms]

    def state(self, version: Any) -> State:
        return self.ledger.state(version.id)


def test_it_goes_from_shadow_over_canaries_to_champion_and_one_serves_all_the_time():
    way = Way()
    two = way.ready(TWO)
    seen = [(way.rollouts.start(two, OPS).stage, way.state(TWO), way.arms())]
    while progress := way.rollouts.advance(two, ALONE):
        seen.append((progress.stage, way.state(TWO), way.arms()))
    assert seen == [
        (0, State.SHADOW, [("champion", "v1", 1.0), ("shadow", "v2", 0.0)]),
        (1, State.CANARY, [("champion", "v1", 0.9), ("canary", "v2", 0.1)]),
        (2, State.CANARY, [("champion", "v1", 0.5), ("canary", "v2", 0.5)]),
    ]
    assert way.arms() == [("champion", "v2", 1.0)]
    assert way.rollouts.going() == ()
    assert way.state(ONE) is State.RETIRED
    champions = [sum(arm.role is ArmRole.CHAMPION for arm in s.routes[0].arms) for s in way.published]
    assert champions == [1] * len(way.published)
    assert [v.label for v in way.marked[1:]] == ["v2"] * 4, "each act that gives it more issues its mark again"
    assert [(e.act, e.details.get("stage"), e.actor) for e in way.ledger.events() if e.subject == TWO.id][-4:] == [
        ("shadowed", 0, "ops"), ("released as canary", 1, "steward"), ("released as canary", 2, "steward"),
        ("released", None, "steward"),
    ]  # fmt: skip
    assert verify_chain(way.ledger.events()) == len(way.ledger.events())


def test_several_shadows_stand_side_by_side_and_a_second_canary_waits_for_its_turn():
    way = Way()
    two, three = way.ready(TWO), way.ready(THREE)
    for version in (two, three):
        way.rollouts.start(version, OPS)
    assert way.arms() == [("champion", "v1", 1.0), ("shadow", "v2", 0.0), ("shadow", "v3", 0.0)]
    way.rollouts.advance(two, OPS)
    with pytest.raises(Conflict, match="canary already"):
        way.rollouts.advance(three, OPS)
    way.rollouts.abort(two, OPS, "slow")
    progress = way.rollouts.advance(three, OPS)
    assert progress is not None
    assert way.arms() == [("champion", "v1", 0.9), ("canary", "v3", 0.1)]
    assert way.state(TWO) is State.ROLLED_BACK


def test_a_version_that_would_begin_as_a_second_canary_is_staged_with_its_mark():
    way = Way(replace(PLAN, stages=(TEN, HALF)))
    two, three = way.ready(TWO), way.ready(THREE)
    way.rollouts.start(two, OPS)
    assert way.rollouts.start(three, OPS).stage == STAGED
    assert (way.state(THREE), way.marked[-1].label) == (State.STAGED, "v3")
    assert way.arms() == [("champion", "v1", 0.9), ("canary", "v2", 0.1)]
    way.rollouts.abort(two, OPS, "")
    begun = way.rollouts.advance(three, ALONE)
    assert begun is not None
    assert begun.stage == 0
    assert way.arms() == [("champion", "v1", 0.9), ("canary", "v3", 0.1)]


@pytest.mark.parametrize("steps", [0, 1], ids=["a shadow", "a canary"])
def test_one_that_is_aborted_loses_everything_and_is_signed_again_before_it_comes_back(steps: int):
    way = Way()
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)
    for _ in range(steps):
        way.rollouts.advance(two, OPS)
    way.rollouts.abort(two, OPS, "it answers nonsense")
    assert way.arms() == [("champion", "v1", 1.0)]
    assert way.state(TWO) is State.ROLLED_BACK
    assert way.ledger.events()[-1].details["reason"] == "it answers nonsense"
    with pytest.raises(NotPermitted, match="may not be released"):
        way.rollouts.start(two, OPS)


def test_one_that_is_held_stands_until_it_is_told_to_go_on():
    way = Way()
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)
    assert way.rollouts.hold(two, OPS, "a holiday").held == "a holiday"
    with pytest.raises(NotPermitted, match="held: a holiday"):
        way.rollouts.advance(two, ALONE)
    assert way.rollouts.resume(two, OPS).held == ""
    assert way.rollouts.advance(two, ALONE) is not None


def test_whoever_acts_names_what_they_saw():
    way = Way()
    two = way.ready(TWO)
    seen = way.rollouts.start(two, OPS)
    way.rollouts.hold(two, OPS, "")
    for act in (way.rollouts.advance, lambda v, hand: way.rollouts.abort(v, hand, "")):
        with pytest.raises(Conflict, match="has moved since"):
            act(two, replace(OPS, event=seen.event))
    way.rollouts.resume(two, OPS)
    with pytest.raises(Conflict, match="is served by v1 now"):
        way.rollouts.advance(two, replace(OPS, expected="v7"))
    assert way.arms() == [("champion", "v1", 1.0), ("shadow", "v2", 0.0)]


def test_a_hold_that_comes_while_the_next_step_is_under_way_is_first():
    """Between the look at the rollout and the transaction of the act."""
    way = Way()
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)
    route = way.desk.route

    def held_meanwhile(model: str):
        object.__setattr__(way.desk, "route", route)
        way.rollouts.hold(two, OPS, "wait")
        return route(model)

    way.desk.route = held_meanwhile  # type: ignore[method-assign]  # asked once before the act
    with pytest.raises(Conflict, match="has moved since"):
        way.rollouts.advance(two, ALONE)
    assert way.state(TWO) is State.SHADOW
    assert way.arms() == [("champion", "v1", 1.0), ("shadow", "v2", 0.0)]


@pytest.mark.parametrize(
    ("plan", "steps"),
    [
        pytest.param(replace(PLAN, advances_itself=False), 0, id="to the next stage"),
        pytest.param(replace(PLAN, ships_itself=False), 2, id="to champion"),
    ],
)
def test_nobody_is_passed_over_whom_the_contract_has_asked(plan: Rollout, steps: int):
    way = Way(plan)
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)
    for _ in range(steps):
        way.rollouts.advance(two, OPS)
    with pytest.raises(NotPermitted, match="asked first"):
        way.rollouts.advance(two, ALONE)
    way.rollouts.advance(two, OPS)


def test_nothing_ends_by_itself_where_the_contract_has_people_asked():
    way = Way(replace(PLAN, rolls_back_itself=False))
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)
    with pytest.raises(NotPermitted, match="asked first"):
        way.rollouts.abort(two, ALONE, "worse")


def test_once_there_are_accounts_people_need_one_and_what_the_contract_lets_happen_does_not(monkeypatch):
    way = Way()
    two = way.ready(TWO)
    way.rollouts.start(two, OPS)

    def permit(by: Principal | None, permission: Permission) -> None:
        raise NotPermitted("sign in", code="SIGN_IN")

    monkeypatch.setattr(way.rollouts.people, "permit", permit)
    for act in (
        way.rollouts.advance,
        lambda v, h: way.rollouts.hold(v, h, ""),
        lambda v, h: way.rollouts.abort(v, h, ""),
    ):
        with pytest.raises(NotPermitted, match="sign in"):
            act(two, OPS)
    assert way.rollouts.advance(two, ALONE) is not None


def test_a_contract_without_a_plan_is_moved_by_hand_alone():
    way = Way(None)
    two = way.ready(TWO)
    with pytest.raises(NotPermitted, match="plans no rollout"):
        way.rollouts.start(two, OPS)
    way.rollouts.shadow(two, OPS)
    (progress,) = way.rollouts.going()
    assert (progress.planned, way.state(TWO)) == (False, State.SHADOW)
    way.desk.release(two, share=0.2, actor="ops")
    way.desk.release(two, share=0.4, actor="ops")
    assert way.arms() == [("champion", "v1", 0.6), ("canary", "v2", 0.4)]


def test_how_each_rollout_ended_is_told_newest_first():
    way = Way()
    two, three = way.ready(TWO), way.ready(THREE)
    way.rollouts.start(two, OPS)
    way.rollouts.start(three, OPS)
    way.rollouts.abort(two, ALONE, "slow")
    while way.rollouts.advance(three, ALONE):
        pass
    found = [(e.version, e.shipped, e.reason, e.actor) for e in way.rollouts.ended()]
    assert found == [(THREE.id, True, "", "steward"), (TWO.id, False, "slow", "steward")]
    assert way.rollouts.ended("churn") == ()


def test_another_champion_ends_every_rollout_beside_the_one_before():
    way = Way()
    two, three = way.ready(TWO), way.ready(THREE)
    way.rollouts.start(two, OPS)
    way.desk.release(three, actor="ops")
    assert way.rollouts.going() == ()
    assert way.state(TWO) is State.ROLLED_BACK
    assert way.arms() == [("champion", "v3", 1.0)]


def test_a_champion_that_is_rolled_back_takes_its_shadows_with_it():
    way = Way()
    two, three = way.ready(TWO), None
    way.desk.release(two, actor="ops")
    three = way.ready(THREE)
    way.rollouts.start(three, OPS)
    way.desk.rollback("loans", actor="ops")
    assert way.arms() == [("champion", "v1", 1.0)]
    assert way.rollouts.going() == ()
    assert way.state(THREE) is State.ROLLED_BACK


def test_the_first_version_of_a_model_has_nobody_beside_whom_it_could_be_a_shadow():
    way = Way()
    way.published.clear()
    empty = World(contract(rollout=PLAN))
    one = empty.ready(ONE)
    rollouts = replace(way.rollouts, ledger=empty.ledger, audit=empty.audit, releases=empty.desk)
    with pytest.raises(NotPermitted, match="no champion"):
        rollouts.start(one, OPS)
    assert empty.ledger.state(ONE.id) is State.APPROVED
