"""Beyond the agreed rate: where the server stops keeping its promises, and what it does then."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from modelmark.gates.common import traffic
from modelmark.gates.common.traffic import Heard
from modelmark.gates.gate import GateProgress

LATE: Final = 0.05  # seconds a request may leave late, for 19 in 20
_IN_TIME: Final = 0.95  # of a step's requests
_DOUBLINGS: Final = 8
_HALVINGS: Final = 2
_BUDGET: Final = 12.0  # seconds for the whole search
_STEP_REQUESTS: Final = 3000
_OPEN: Final = 1500  # connections at once, more than the server's queue holds
_REQUESTS: Final = 6000  # of one overload
_HEAVY_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where requests go. url: of the predictions. rows: to send. promise, deadline: in seconds, of p99 and of any answer."""

    url: str
    rows: Sequence[dict[str, Any]]
    promise: float
    deadline: float
    max_rows: int

    def bodies(self, size: int = 1) -> list[bytes]:
        """At most a hundred bodies of `size` rows each, the rows in turn."""
        count = len(self.rows)
        starts = range(0, min(100 * size, max(count, size)), size)
        return [json.dumps({"rows": [self.rows[(s + i) % count] for i in range(size)]}).encode() for s in starts]

    def send(self, bodies: Sequence[bytes], due: Sequence[float], *, most_open: int, warm_up: int = 0) -> list[Heard]:
        return traffic.send(self.url, bodies, due, timeout=self.deadline + 1, warm_up=warm_up, most_open=most_open)

    def kept(self, heard: Sequence[Heard]) -> bool:
        """19 of 20 were answered as fast as 99 of 100 are promised to be: a second is too short for more."""
        return sum(not h.failure and h.milliseconds <= self.promise * 1000 for h in heard) >= _IN_TIME * len(heard)


def lag(heard: Sequence[Heard]) -> float:
    """How late the sender was, in seconds, for 19 requests in 20."""
    return float(np.quantile([h.sent - h.due for h in heard], 0.95)) if heard else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Requests a second. good: the highest rate that was answered in time. bad: the lowest that was not, None where none
    was found: then the sender gave no more. rows: in each request. n: requests sent."""

    good: float
    bad: float | None
    rows: int
    n: int


def find_capacity(target: Target, agreed: float, progress: GateProgress) -> Capacity:
    """Doubling and halving the rate of single rows, a second each; the sender's own limit ends the search."""
    bodies, good, bad, n, sent_all = target.bodies(), 0.0, None, 0, True
    started, rate, halvings = time.perf_counter(), agreed, 0
    for step in range(_DOUBLINGS + _HALVINGS):
        progress(step, _DOUBLINGS + _HALVINGS)
        heard = target.send(bodies, traffic.arrivals(rate, min(1.0, _STEP_REQUESTS / rate), step), most_open=_OPEN)
        n += len(heard)
        if target.kept(heard) and lag(heard) <= LATE:
            good = max(good, rate)
        elif lag(heard) > LATE:
            sent_all = bad is not None
            break
        else:
            bad = rate if bad is None else min(bad, rate)
        halvings += bad is not None
        if halvings > _HALVINGS or time.perf_counter() - started > _BUDGET:
            break
        rate = rate * 2 if bad is None else (good + bad) / 2
    return Capacity(good=good, bad=bad if sent_all else None, rows=1, n=n)


def heavy_capacity(target: Target) -> Capacity:
    """What a saturated server answers of its largest requests, eight at a time for half a second."""
    size = max(1, min(target.max_rows, _HEAVY_BYTES // max(len(target.bodies()[0]), 1)))
    bodies = target.bodies(size)
    heard = target.send(bodies, [0.0] * _STEP_REQUESTS, most_open=8, warm_up=2)
    seconds = max((h.done for h in heard), default=1.0)
    good = sum(not h.failure for h in heard) / seconds
    return Capacity(good=good, bad=good, rows=size, n=len(heard))


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What a multiple of the capacity got.

    asked, answered: requests a second, the latter in time. lag: as `lag`. latencies: of what was answered, in ms,
    sorted. refused: in good form. malformed: what the server said in another form, and lost connections where the
    sender kept its timetable. silent: no answer came.
    """

    factor: float
    asked: float
    answered: float
    n: int
    lag: float
    latencies: tuple[float, ...]
    refused: int
    silent: int
    malformed: tuple[str, ...]


def overloads(target: Target, capacity: Capacity, factors: Sequence[float], seconds: float) -> list[Overload]:
    """Each multiple in turn, until one at which the sender cannot keep its timetable: what follows would be about it."""
    found: list[Overload] = []
    for factor in factors if capacity.good else ():
        found.append(_overload(target, capacity, factor, seconds))
        if found[-1].lag > LATE:
            break
        time.sleep(min(target.deadline, 2.0))  # what waits is answered or put off before the next one
    return found


def _overload(target: Target, capacity: Capacity, factor: float, seconds: float) -> Overload:
    """Open loop at factor × capacity; how the server refuses what it cannot do."""
    rate = factor * capacity.good
    due = traffic.arrivals(rate, min(seconds, _REQUESTS / rate), int(factor * 10))
    heard = target.send(target.bodies(capacity.rows), due, most_open=_OPEN)
    return judge_overload(heard, factor, target.deadline)


def judge_overload(heard: Sequence[Heard], factor: float, deadline: float) -> Overload:
    """Pure arithmetic on what was heard."""
    window = max(max((h.due for h in heard), default=0.0), 1e-3)
    answered = [h for h in heard if not h.failure]
    refused = [h for h in heard if h.failure and well_formed(h)]
    silent = [h for h in heard if h.failure.startswith("no answer within")]
    late = lag(heard)
    # A connection that a hurried sender lost may be its own fault; a wrong answer never is.
    lost = [h for h in heard if h.status == 0 and late > LATE]
    known = {id(h) for h in (*answered, *refused, *silent, *lost)}
    in_time = [h for h in answered if h.milliseconds <= deadline * 1000]
    return Overload(
        factor=factor,
        asked=len(heard) / window,
        answered=len(in_time) / max(window, max((h.done for h in in_time), default=0.0)),
        n=len(heard),
        lag=late,
        latencies=tuple(sorted(h.milliseconds for h in answered)),
        refused=len(refused),
        silent=len(silent),
        malformed=tuple(h.failure for h in heard if id(h) not in known),
    )


def well_formed(heard: Heard) -> bool:
    """A refusal for want of time: 429, 503 or 504 with a JSON code; 429 says when to come back, in 1 to 30 s."""
    if heard.status not in (429, 503, 504):
        return False
    try:
        facts = json.loads(heard.body)
    except ValueError:
        return False
    if not isinstance(facts, dict) or not facts.get("code"):
        return False
    return heard.status != 429 or (heard.retry_after.isdigit() and 1 <= int(heard.retry_after) <= 30)
