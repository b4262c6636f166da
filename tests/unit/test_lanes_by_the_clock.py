"""Lanes over simulated time: what comes when, and how long runs take, follows from a seed, so a busy machine changes nothing.

Rows L2, L5, L6, L7 and L8 of what an endpoint under load must do, for models of 5, 20 and 80 ms a row. `bench/overload.py`
measures the same on real servers.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from modelmark.domain.errors import Overloaded, TimedOut
from modelmark.serving.cost import Cost
from modelmark.serving.lanes import Lane

DEADLINE = 0.5


@dataclass(eq=False)
class Asked:
    """What a lane looks at of a request."""

    caller: bytes
    due: float
    at: float
    rows: Any = field(default_factory=lambda: SimpleNamespace(count=1))
    alone: bool = False
    turn: float = 0.0
    entered: float = 0.0
    predicted: float = 0.0


class World:
    """One lane, those who ask, and a model whose rows take `row` seconds each, a fifth more or less."""

    def __init__(self, row: float, seed: int = 0, lane: type[Lane] = Lane) -> None:
        self.row, self.chance = row, np.random.default_rng(seed)
        self.lane = lane(SimpleNamespace(wall=Cost(), at_a_time=1), DEADLINE)  # type: ignore[arg-type]
        self.answered: list[tuple[float, Asked]] = []
        self.refused: list[tuple[float, Asked, int]] = []
        self.computed = 0
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._numbers = count()

    def at(self, when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), what))

    def ask(self, caller: bytes = b"", tries: int = 1) -> Callable[[float], None]:
        """tries: so many times in all, at once again whenever it is refused."""

        def come(now: float, left: int = tries) -> None:
            one = Asked(caller, now + DEADLINE, now)
            try:
                self.lane.enter(one, now)  # type: ignore[arg-type]
            except Overloaded as error:
                self.refused.append((now, one, error.retry_after))
                if left > 1:
                    self.at(now + 0.001, lambda later: come(later, left - 1))
                return
            self._run(now)

        return come

    def traffic(self, rate: float, start: float, end: float, caller: bytes = b"", tries: int = 1) -> None:
        """Strangers to each other: at random, so many a second; the same whatever else is asked."""
        chance = np.random.default_rng([int(1000 * rate), int(start)])
        for when in _moments(chance, rate, start, end):
            self.at(when, self.ask(caller, tries))

    def live(self) -> World:
        while self._events:
            now, _, what = heapq.heappop(self._events)
            what(now)
        return self

    def good(self, start: float, end: float, caller: bytes | None = None) -> int:
        """Answers in time to what came in that span."""
        return sum(
            start <= one.at < end and when <= one.due and caller in (None, one.caller) for when, one in self.answered
        )

    def came(self, start: float, end: float, caller: bytes | None = None) -> list[Asked]:
        everybody = {id(one): one for _, one in self.answered} | {id(one): one for _, one, _ in self.refused}
        return [one for one in everybody.values() if start <= one.at < end and caller in (None, one.caller)]

    def _run(self, now: float) -> None:
        while self.lane.idle and self.lane.waiting:
            batch, _ = self.lane.take(now)
            if not batch:
                return
            over, rows = self.lane.begin(batch, now), len(batch)
            took = self.row * rows * self.chance.uniform(0.8, 1.2)
            self.computed += rows

            def end(later: float, batch: Any = batch, over: float = over, took: float = took) -> None:
                self.lane.end(over, batch, [(len(batch), took)], later)
                self.answered += [(later, one) for one in batch]
                self._run(later)

            self.at(now + took, end)


def span(row: float) -> float:
    """Seconds in which 1,200 rows can be answered."""
    return 1200 * row


def _moments(chance: np.random.Generator, rate: float, start: float, end: float) -> Iterator[float]:
    now = start
    while (now := now + chance.exponential(1 / rate)) < end:
        yield now


@pytest.mark.parametrize("row", [0.005, 0.02, 0.08])
@pytest.mark.parametrize(("factor", "least"), [(2, 0.95), (5, 0.93), (10, 0.90)])
def test_overload_costs_no_goodput_and_wastes_no_run(row: float, factor: int, least: float) -> None:
    world = World(row)
    world.traffic(factor / row, 0, span(row))
    world.live()
    assert world.good(0, span(row)) >= least * span(row) / row
    waits = sorted(when - one.at for when, one in world.answered)
    assert waits[int(0.99 * len(waits))] <= DEADLINE
    assert world.computed <= 1.01 * world.good(0, span(row) + 1) + 1
    assert {1 <= after <= 30 for _, _, after in world.refused} == {True}


@pytest.mark.parametrize("row", [0.005, 0.02, 0.08])
def test_once_a_load_has_gone_it_is_as_before_within_two_seconds(row: float) -> None:
    world = World(row)
    then, end = 5, 5 + 2 * span(row)
    world.traffic(10 / row, 0, then)
    world.traffic(0.8 / row, then, end)
    calm = World(row)
    calm.traffic(0.8 / row, then, end)
    after, before = world.live().good(then + 2, end), calm.live().good(then + 2, end)
    assert after / len(world.came(then + 2, end)) >= 0.98 * before / len(calm.came(then + 2, end))


@pytest.mark.parametrize("row", [0.005, 0.02, 0.08])
def test_three_retries_at_once_of_whoever_is_refused_change_little(row: float) -> None:
    world = World(row)
    world.traffic(2 / row, 0, span(row), tries=4)
    assert world.live().good(0, span(row)) >= 0.85 * span(row) / row


@pytest.mark.parametrize("row", [0.005, 0.02, 0.08])
def test_one_who_asks_for_a_third_is_answered_beside_one_who_asks_for_ten_times_too_much(row: float) -> None:
    world = World(row)
    world.traffic(10 / row, 0, span(row), b"noisy")
    world.traffic(0.3 / row, 0, span(row), b"quiet")
    world.live()
    came = world.came(0, span(row), b"quiet")
    assert world.good(0, span(row), b"quiet") >= 0.99 * len(came)
    assert world.good(0, span(row), b"noisy") >= 0.6 * span(row) / row, "what the quiet one leaves is the noisy one's"


@pytest.mark.parametrize(("row", "most"), [(0.005, 1.25), (0.02, 1.25), (0.08, 1.8)])  # of 80 ms, six fit in a deadline
def test_callers_who_all_ask_too_much_get_equal_shares(row: float, most: float) -> None:
    world = World(row)
    for caller, factor in ((b"one", 1), (b"two", 3), (b"three", 9)):
        world.traffic(factor / row, 0, span(row), caller)
    world.live()
    shares = Counter(one.caller for when, one in world.answered if when <= one.due)
    assert max(shares.values()) <= most * min(shares.values()), shares


def test_a_request_that_no_run_could_answer_in_time_is_told_so() -> None:
    world = World(0.02)
    world.lane._cost.note(1, 0.7)
    world.ask()(0.0)
    with pytest.raises(TimedOut):
        world.lane.require_room(b"", 1, 0.01 + DEADLINE, 0.01)


def test_whoever_comes_under_ever_new_names_gets_no_more_than_the_others() -> None:
    world = World(0.02)
    world.traffic(150, 0, 24, b"one")
    chance = np.random.default_rng(1)
    for number, when in enumerate(_moments(chance, 150, 0, 24)):
        world.at(when, world.ask(b"stranger %d" % number))
    world.live()
    assert world.good(0, 24, b"one") >= 0.3 * 24 / 0.02


class Forgetful(Lane):
    """Reckons each refusal anew."""

    def require_room(self, caller: bytes, rows: int, due: float, now: float) -> float:
        self._full = self._full._replace(until=0.0)
        return super().require_room(caller, rows, due, now)


@pytest.mark.parametrize("row", [0.005, 0.08])
def test_a_refusal_that_is_remembered_is_the_one_that_would_be_reckoned(row: float) -> None:
    def lived(lane: type[Lane]) -> World:
        world = World(row, lane=lane)
        for caller, factor in ((b"a", 4.0), (b"b", 0.5), (b"", 3.0)):
            world.traffic(factor / row, 0.0, span(row), caller, tries=2)
        return world.live()

    remembered, reckoned = lived(Lane), lived(Forgetful)
    assert [(when, one.caller) for when, one in remembered.answered] == [
        (when, one.caller) for when, one in reckoned.answered
    ]
    assert [when for when, _, _ in remembered.refused] == [when for when, _, _ in reckoned.refused]
    off = [a - b for (_, _, a), (_, _, b) in zip(remembered.refused, reckoned.refused, strict=True)]
    assert max(map(abs, off)) <= 1, "seconds, to come back after"


def test_who_is_refused_again_costs_no_reckoning(monkeypatch) -> None:
    lane, now, asked = World(0.02).lane, 0.0, list[int]()
    lane._cost.note(1, 0.4)
    lane.enter(Asked(b"a", now + DEADLINE, now), now)
    batch, _ = lane.take(now)
    lane.begin(batch, now)
    monkeypatch.setattr(Cost, "of_queue", lambda *given, true=Cost.of_queue: asked.append(1) or true(*given))
    refusals = []
    for turn in range(50):
        with pytest.raises(Overloaded) as refused:
            lane.require_room(b"a", 1, 0.001 * turn + DEADLINE, 0.001 * turn)
        refusals.append(refused.value.retry_after)
    assert len(set(refusals)) == 1
    assert len(asked) <= 2
    assert lane.require_room(b"a", 1, 0.4 + DEADLINE, 0.4) > 0, "the run is nearly over"
