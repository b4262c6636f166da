"""The number of workers follows the load between its bounds: up where requests wait, down after calm, and not to and fro."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import Any

import pytest

import loops
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.errors import Rejected
from modelmark.serving.crew.crew import Crew
from modelmark.serving.crew.load import Load, Loads
from modelmark.serving.crew.scaling import CALM, SETTLES, SUSTAINED, Scaling

IDLE, WAITING, FULL = Load(0.0, 0.1), Load(3.0, 0.5), Load(0.0, 0.95)
#: A worker starts within so many seconds, here.
STARTS = 0.7


class Machine:
    """Time passes in steps of a twentieth of a second; a new worker answers STARTS later."""

    def __init__(self, bounds: WorkerBounds, workers: int = 1) -> None:
        self.scaling, self.now = Scaling(bounds), 1000.0
        self.workers, self.answers_at = workers, self.now

    def run(self, seconds: float, load: Load, *others: Load) -> int:
        """Of the workers the first has this load, the others the last of these."""
        until = self.now + seconds
        while self.now < until:
            answering = self.workers if self.now >= self.answers_at else self.workers - 1
            loads = [load, *others, *[(*others, load)[-1 if not others else len(others) - 1]] * answering][:answering]
            wanted = self.scaling.wanted(loads, self.workers, self.now)
            if wanted > self.workers:
                self.answers_at = self.now + STARTS
            assert abs(wanted - self.workers) <= 1
            self.workers = wanted
            self.now += 0.05
        return self.workers


@pytest.mark.parametrize("pressed", [WAITING, FULL])
def test_where_requests_wait_one_more_answers_within_two_seconds(pressed: Load) -> None:
    machine = Machine(WorkerBounds(1, 4))
    assert machine.run(5.0, IDLE) == 1
    begun = machine.now
    while machine.workers == 1:
        machine.run(0.05, pressed)
    assert machine.answers_at - begun < 2.0


def test_a_moment_of_waiting_is_no_reason() -> None:
    machine = Machine(WorkerBounds(1, 4))
    for _ in range(20):
        assert machine.run(SUSTAINED - 0.1, WAITING) == 1
        assert machine.run(0.2, IDLE) == 1


def test_it_stays_within_its_bounds_and_each_more_has_time_to_show_what_it_changes() -> None:
    machine = Machine(WorkerBounds(1, 3))
    machine.run(SUSTAINED + 0.2, WAITING)
    assert machine.workers == 2
    assert machine.run(STARTS + SETTLES - 0.3, WAITING) == 2
    assert machine.run(60.0, WAITING) == 3
    assert machine.run(CALM - 1, IDLE) == 3
    assert machine.run(3 * CALM + 10, IDLE) == 1


def test_one_less_only_where_those_who_stay_are_not_busy() -> None:
    machine = Machine(WorkerBounds(1, 3), workers=2)
    assert machine.run(2 * CALM, Load(0.0, 0.4), Load(0.0, 0.4)) == 2
    assert machine.run(2 * CALM, Load(0.2, 0.1), Load(0.0, 0.1)) == 2, "somebody waits"
    assert machine.run(2 * CALM, Load(0.0, 0.3), Load(0.0, 0.2)) == 1


def test_while_one_starts_nothing_changes() -> None:
    scaling = Scaling(WorkerBounds(1, 4))
    assert {scaling.wanted([WAITING], 2, 1000.0 + at) for at in range(30)} == {2}
    assert {scaling.wanted([], 1, 1100.0 + at) for at in range(30)} == {1}


@pytest.mark.parametrize("text", ["0", "257", "2..1", "1..", "1..300", "many", "", "1.5"])
def test_what_is_no_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        WorkerBounds.read(text)
    assert (caught.value.code, caught.value.field) == ("BAD_WORKERS", "workers")


def test_bounds_are_written_as_they_are_read() -> None:
    assert [str(WorkerBounds.read(text)) for text in ("3", "2..2", "1..4")] == ["3", "2", "1..4"]
    cores = len(os.sched_getaffinity(0))
    assert WorkerBounds.read("auto") == WorkerBounds(1, cores)


def test_what_a_worker_says_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([(0, False), (4, True), (2, True), (0, False)])
    looks: list[None] = []

    async def four_times(_: float) -> None:
        if len(looks) == 4:
            raise asyncio.CancelledError
        looks.append(None)

    loads = Loads(lambda: next(seen))
    monkeypatch.setattr("modelmark.serving.crew.load.asyncio.sleep", four_times)
    with pytest.raises(asyncio.CancelledError):
        loops.run(loads.watch())
    heard = Load.heard(loads())
    assert heard is not None
    assert heard.waiting == 1.5
    assert heard.busy >= 0.5
    nothing = Load.heard(loads())
    assert nothing is not None
    assert nothing.waiting == 0
    assert Load.heard("") is None
    assert Load.heard("1 2 3") is None


@dataclass(eq=False)
class Worker:
    """As `Child`, without a process."""

    said: str = IDLE.said()
    lives: bool = True
    told: list[str] = field(default_factory=list)
    ended: bool = False

    def __post_init__(self) -> None:
        self.ready: Any = type("Set", (), {"is_set": lambda _: True})()

    def tell(self, line: str) -> None:
        self.told.append(line)

    def end(self) -> None:
        self.ended = True

    def join(self, until: float) -> None:
        self.lives = False


def test_connections_are_spread_when_one_more_answers_and_whoever_leaves_is_seen_off() -> None:
    first, second = Worker(said=WAITING.said()), Worker()
    workers: Any = [first]
    crew = Crew(workers, Scaling(WorkerBounds(1, 2), calm=1.0), lambda: second)  # type: ignore[arg-type, return-value]
    now = 1000.0
    while len(workers) == 1:
        crew.look(now := now + 0.05)
    crew.look(now := now + 0.05)
    assert (first.told, second.told) == (["spread 0.500"], [])
    first.said = IDLE.said()
    while len(workers) == 2:
        crew.look(now := now + 0.05)
    assert (second.ended, crew.leaving) == (True, (second,))
    second.lives = False
    crew.look(now + 0.05)
    assert crew.leaving == ()
    assert first.told == ["spread 0.500"]
