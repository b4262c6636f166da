"""Arms have roles, and a route knows its champion whatever the order of its arms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelmark.domain.audit import Act
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Tampered
from modelmark.domain.release import CommentKind
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.seal.digests import plain
from modelmark.seal.values import restore
from modelmark.serving.models import live_route

ONE, TWO, THREE = (Digest("sha256:" + c * 64) for c in "abc")
CHAMPION = Arm.of(ArmRole.CHAMPION, ONE, 0.9)
CANARY = Arm.of(ArmRole.CANARY, TWO, 0.1)
SHADOW = Arm.of(ArmRole.SHADOW, THREE, 0.0, name="bigger trees")


def route(*arms: Arm) -> Route:
    return Route(model="loans", arms=arms, previous=None)


def test_a_role_finds_its_arm_in_any_order():
    found = route(SHADOW, CANARY, CHAMPION)
    assert (found.champion, found.canary, found.shadows) == (CHAMPION, CANARY, (SHADOW,))
    assert found.answering == (CHAMPION, CANARY)
    assert found.of(THREE) is SHADOW
    assert found.of(Digest("sha256:" + "d" * 64)) is None


@pytest.mark.parametrize("arms", [(), (CANARY,), (CHAMPION, CHAMPION)], ids=["none", "canary alone", "two champions"])
def test_a_route_has_exactly_one_champion(arms: tuple[Arm, ...]):
    with pytest.raises(ValueError, match="exactly one champion"):
        route(*arms)


def test_without_its_canary_the_champion_has_all_the_traffic_again():
    back = route(CHAMPION, CANARY, SHADOW).without_canary()
    assert [(arm.name, arm.weight) for arm in back.arms] == [("champion", 1.0), ("bigger trees", 0.0)]


def test_a_role_that_the_name_says_is_not_stored_twice_so_older_snapshots_read_the_same():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    snapshot = Snapshot(sequence=1, issued_at=at, routes=(route(CHAMPION, CANARY, SHADOW),))
    stored = plain(snapshot)
    assert [sorted(arm) for arm in stored["routes"][0]["arms"]] == [
        ["name", "version", "weight"],
        ["name", "version", "weight"],
        ["name", "stored_role", "version", "weight"],
    ]
    assert restore(Snapshot, stored) == snapshot


def test_a_worker_routes_only_among_what_answers_and_keeps_shadows_aside():
    loaded = {ONE: "one", TWO: "two", THREE: "three"}
    live = live_route(route(SHADOW, CANARY, CHAMPION), loaded)
    assert [(arm.name, arm.version) for arm in live.arms] == [("champion", "one"), ("canary", "two")]
    assert [(arm.name, arm.version) for arm in live.shadows] == [("bigger trees", "three")]
    assert (live.champion, live.versions, live.weights) == ("one", ("one", "two", "three"), [0.9, 0.1])
    assert live_route(route(CHAMPION, CANARY), {TWO: "two"}) is None, "without its champion nothing is served"


def test_a_stored_route_without_a_champion_is_not_believed():
    arm = {"version": str(ONE), "name": "canary", "weight": 1.0}
    with pytest.raises(Tampered):
        restore(Route, {"model": "loans", "arms": [arm], "previous": None})


def test_every_kind_of_comment_is_an_act():
    assert {Act(kind) for kind in CommentKind} == {Act.COMMENTED, Act.REQUESTED_CHANGE, Act.SETTLED_CHANGE}
