"""The steward's training: one at a time, begun once, its end told, its faults reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from builders.domain import NOON
from modelmark.app.effects import TrainingBehind
from modelmark.app.usecases.retraining.due_retraining import Due
from modelmark.steward.job import JobContext, JobFault, Step
from modelmark.steward.jobs.retrain import Retrain


@dataclass
class Child:
    code: int | None = None
    said: str = "v2 is better: by much"

    def poll(self) -> int | None:
        return self.code

    def told(self) -> str:
        return self.said


@dataclass
class World:
    """What is due, and what came of it."""

    due: list[Due]
    children: list[Child] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    told: list[tuple[str, str]] = field(default_factory=list)
    faults: list[JobFault] = field(default_factory=list)
    well: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.job = Retrain(due=lambda _: self.due, begun=self.begin, start=self.start, tell=self.tell)

    def begin(self, model: str, at: datetime) -> None:
        self.begun.append(model)
        self.due = [one for one in self.due if one.model != model]

    def start(self, contract: Path, why: str) -> Child:
        self.children.append(Child())
        return self.children[-1]

    def tell(self, model: str, sentence: str, at: datetime) -> None:
        self.told.append((model, sentence))

    def step(self) -> bool:
        now = NOON + timedelta(minutes=len(self.told))
        return self.job.run(
            JobContext(now=now, serving=(), report=self.faults.append, step=Step(at=now), well=self.well.append)
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    (tmp_path / "modelmark.yaml").write_text("")
    return World([Due(model=name, contract=tmp_path / "modelmark.yaml", why="time") for name in ("loans", "prices")])


def test_one_model_at_a_time_and_each_once(world: World) -> None:
    assert not world.step()
    assert not world.step(), "it is looked at in every step while it runs"
    assert (world.begun, len(world.children)) == (["loans"], 1)
    world.children[0].code = 0
    assert world.step()
    assert world.told == [("loans", "v2 is better: by much")]
    assert not world.step()
    world.children[1].code = 1
    assert world.step()
    assert world.begun == ["loans", "prices"]
    assert world.step()
    assert (len(world.children), world.faults) == (2, [])
    assert world.well == ["retraining/loans", "retraining/prices"]


@pytest.mark.parametrize("code", [2, 3, -9])
def test_what_fails_is_a_fault_with_its_own_sentence(world: World, code: int) -> None:
    world.step()
    world.children[0].code, world.children[0].said = code, "ValueError: no such column"
    world.step()
    (fault,) = world.faults
    assert fault.subject == "retraining/loans"
    assert fault.sentence == "The model loans could not be trained again: ValueError: no such column"
    assert world.told == []


def test_a_contract_that_is_gone_is_a_fault_and_the_next_model_is_trained(world: World) -> None:
    world.due = [Due(model="loans", contract=None, why="time"), *world.due[1:]]
    world.step()
    assert [fault.subject for fault in world.faults] == ["retraining/loans"]
    assert world.begun == ["prices"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"label": "v2", "proof": {"outcome": "better", "sentence": "it is"}}', "v2 is better: it is"),
        ('a warning\n{"label": "v2", "proof": {"outcome": "refused", "sentence": "no"}}', "v2 is refused: no"),
        ('{"error": {"code": "FEW_LABELS", "message": "10 rows are labelled"}}', "10 rows are labelled"),
        ("Killed", "Killed"),
        ("", "it ended with -9 and said nothing"),
    ],
)
def test_an_answer_is_told_in_a_sentence(tmp_path: Path, answer: str, told: str) -> None:
    class Process:
        returncode = -9

    (tmp_path / "answer").write_text(answer)
    assert TrainingBehind(process=Process(), answer=tmp_path / "answer").told() == told  # type: ignore[arg-type]
