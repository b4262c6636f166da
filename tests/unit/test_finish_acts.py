"""What follows a release or a rollback is left to others, who always know what is left, whatever died meanwhile."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from builders.domain import NOON, version
from modelmark.app.effects import FollowRoutes
from modelmark.app.usecases.finish_acts import POSITION, FinishActs
from modelmark.domain.audit import Act, Event
from modelmark.domain.errors import NotYet
from modelmark.domain.routes import Arm, ArmRole, Route, Snapshot
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.seal.files import between_turns, taken, turn
from modelmark.steward.jobs.finish_acts import FinishActs as Job
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.artifacts import MemoryArtifactStore
from modelmark.testing.ledger import MemoryLedger
from modelmark.testing.monitoring_store import MemoryMonitoringStore


@dataclass
class Desk:
    """A workspace after some snapshots, and what was asked of the checkpoint and of MLflow."""

    root: Path
    done: list[str] = field(default_factory=list)
    deaf: bool = False

    def __post_init__(self) -> None:
        self.ledger, self.store = MemoryLedger(), MemoryMonitoringStore()
        self.finish = FinishActs(
            workspace=Workspace(self.root), ledger=self.ledger, monitoring_store=self.store,
            checkpoint=lambda: self.done.append("checkpoint"), follow=self._follow,
        )  # fmt: skip

    def _follow(self, after: int) -> None:
        if self.deaf:
            raise NotYet("nobody answers", code="MLFLOW_UNAVAILABLE")
        self.done.append(f"mlflow after {after}")

    def publish(self, number: int) -> None:
        self.ledger.set_snapshot(Snapshot(sequence=number, issued_at=NOON, routes=()))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_nothing_is_left_before_the_first_release(desk: Desk) -> None:
    assert not desk.finish.due()
    assert desk.finish()
    assert desk.done == []


def test_what_is_left_is_said_until_it_is_done_and_done_once(desk: Desk) -> None:
    desk.publish(1)
    desk.publish(2)
    assert desk.finish.due()
    assert desk.finish.pending() == [
        "no checkpoint was made or copied yet; it is done behind the act",
        "MLflow's aliases and marks are out of date yet; it is done behind the act",
    ]
    assert desk.finish()
    assert (desk.finish.pending(), desk.finish.due()) == ([], False)
    assert desk.finish()
    assert desk.done == ["checkpoint", "mlflow after 0"]
    desk.publish(3)
    assert desk.finish()
    assert desk.done[2:] == ["checkpoint", "mlflow after 2"]


def test_a_dead_mlflow_keeps_no_checkpoint_is_said_and_comes_again(desk: Desk) -> None:
    desk.publish(1)
    desk.deaf = True
    assert not desk.finish()
    assert desk.done == ["checkpoint"]
    assert desk.finish.pending() == ["MLflow's aliases and marks are out of date: nobody answers"]
    desk.deaf = False
    assert desk.finish()
    assert desk.done == ["checkpoint", "mlflow after 0"], "no second checkpoint"
    assert desk.finish.pending() == []


def test_whatever_else_goes_wrong_is_said_too(desk: Desk) -> None:
    def broken() -> None:
        raise RuntimeError("no such thing")

    desk.publish(1)
    assert not replace(desk.finish, checkpoint=broken)()
    assert desk.finish.pending() == ["no checkpoint was made or copied: RuntimeError: no such thing"]
    assert desk.done == ["mlflow after 0"]


def test_one_at_a_time_is_at_it(desk: Desk) -> None:
    desk.publish(1)
    place = desk.root / "run" / "acts"
    with turn(place):
        assert taken(place)
        assert not desk.finish.due(), "somebody is at it"
    assert not taken(place)
    assert desk.finish.due()


def test_a_reader_waits_for_no_turn_that_nobody_has_and_stops_whoever_wants_one(tmp_path: Path) -> None:
    with between_turns(tmp_path / "x"):
        assert list(tmp_path.iterdir()) == [], "it writes nothing"
    with turn(tmp_path / "x"):
        pass
    with between_turns(tmp_path / "x"):
        writer = os.open(tmp_path / ".x.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(writer, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(writer)


class Recorded:
    """An MLflow that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def keep_mark(self, one: Version, mark: Path) -> None:
        self.told.append(("mark", one.label))

    def set_alias(self, one: Version, alias: str) -> None:
        self.told.append((alias, one.label))

    def remove_alias(self, model: str, alias: str) -> None:
        self.told.append((alias, "none"))


def test_mlflow_hears_of_every_act_since_and_of_nothing_it_never_recorded() -> None:
    ledger, heard = MemoryLedger(), Recorded()
    one, two = (
        replace(made, lineage=replace(made.lineage, run_id="r")) for made in (version("1"), version("2", number=2))
    )
    other = version("3", model="churn")
    for made in (one, two, other):
        ledger.add_version(made)
    acts = (
        (one, Act.RELEASED, 1),
        (two, Act.RELEASED_AS_CANARY, 2),
        (two, Act.ROLLED_BACK, 3),
        (other, Act.RELEASED, 4),
    )
    for number, (about, act, snapshot) in enumerate(acts, 1):
        details = {"model": about.model, "snapshot": snapshot}
        ledger.append_event(
            Event(
                sequence=number, at=NOON, actor="ann", act=act, subject=about.id, details=details, previous="", hash=""
            )
        )
    arm = Arm(version=one.id, name=ArmRole.CHAMPION, weight=1.0)
    artifacts: Any = MemoryArtifactStore()
    tracking: Any = heard
    route: Callable[[str], Route] = lambda model: Route(model=model, arms=(arm,), previous=None)  # noqa: E731
    follow = FollowRoutes(ledger=ledger, artifacts=artifacts, tracking=tracking, route=route)
    artifacts.folder = lambda id: Path("/nowhere")
    follow(4)
    assert heard.told == []
    follow(2)
    assert heard.told == [("champion", "v1"), ("canary", "none")], (
        "a rollback brings no mark, and churn is not recorded"
    )
    heard.told.clear()
    follow(0)
    assert heard.told == [("mark", "v1"), ("mark", "v2"), ("champion", "v1"), ("canary", "none")]


class Child:
    def __init__(self) -> None:
        self.code: int | None = None

    def poll(self) -> int | None:
        return self.code


def test_the_steward_starts_one_process_goes_on_meanwhile_and_tells_of_what_is_left() -> None:
    started: list[Child] = []

    def start() -> Child:
        started.append(Child())
        return started[-1]

    left = ["MLflow's aliases and marks are out of date: nobody answers"]
    job = Job(due=lambda: bool(left), pending=lambda: left, start=start)
    steward = Steward([job], ServingVersions(list), MemoryMonitoringStore(), lambda: NOON, log=lambda _: None)
    for _ in range(3):
        assert steward.step(NOON).errors == []
    assert len(started) == 1
    started[0].code = 1
    assert steward.step(NOON).errors == left
    steward.step(NOON)
    assert len(started) == 1, "it rests after one that failed"
    steward.step(NOON + job.interval)
    assert len(started) == 2
    started[1].code = 0
    left.clear()
    assert steward.step(NOON + job.interval).errors == []
    left.append("something new")
    steward.step(NOON + job.interval)
    assert len(started) == 3, "after one that went well the next act need not wait"


def test_a_position_names_each_step(desk: Desk) -> None:
    desk.publish(7)
    desk.finish()
    assert desk.store.checkpoint(POSITION) == {"checkpoint": 7, "mlflow": 7, "failed": {}}
