"""What waits for one version's runs off the loop: who is let in, whose turn it is, how much one run takes.

Whoever could not be answered in time is told so at once. Callers take turns, row by row, so that none can fill a lane for
the others; a lane that has nothing to do takes any request, so what was learnt wrong is learnt anew.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from math import ceil, inf
from typing import Final, NamedTuple

from modelmark.domain.errors import Overloaded, TimedOut
from modelmark.serving.answers import PredictRequest
from modelmark.serving.execution import Execution

#: Rows of one run, whatever they cost.
RUN_ROWS: Final = 1024
#: A run takes no more than this part of a deadline and so many seconds, or so many times what one row takes: those who come
#: meanwhile wait.
RUN_PART: Final = 0.25
RUN_SECONDS: Final = 0.25
RUN_MORE: Final = 1.5
#: Whoever asked for less than a fair share may ask for so much more at once: rows that fill this part of a deadline.
SAVED_PART: Final = 1.0
#: What is predicted may be wrong by so much without anybody being late.
MARGIN: Final = 1.25
#: How quickly it is learnt how far predictions are off, and how far they may be.
_WEIGHT: Final = 0.1
_FURTHEST: Final = 4.0
_CALLERS: Final = 1024


class _Full(NamedTuple):
    """A refusal that holds until then (by `perf_counter`), for the same caller with so many rows, who has the whole deadline
    before him or less, but time enough for a run alone (seconds): nothing has changed, and what runs is not over."""

    caller: bytes
    rows: int
    alone: float
    until: float
    retry_after: int


def overloaded(retry_after: int) -> Overloaded:
    """retry_after: whole seconds, 1 to 30."""
    return Overloaded("too many requests are waiting", retry_after=retry_after)


class Lane:
    """One version's. Times are by `perf_counter`; deadline: the contract's, in seconds."""

    def __init__(self, execution: Execution, deadline: float) -> None:
        self._cost, self._at_a_time = execution.wall, execution.at_a_time
        self._deadline = deadline
        self.waiting: list[PredictRequest] = []  # in the order of their turns
        self.rows = 0  # of those
        self.run_rows = self._fitting()  # of one run, as far as its cost is known
        self._ends: list[float] = []  # when each run that goes on should be over
        self._served = 0.0  # the latest turn that has come
        self._turns: dict[bytes, float] = {}  # the latest turn each caller was given, who asked last comes last
        self._strangers = 0.0  # the latest turn that somebody not in there was given
        self._stretch = 1.0  # how many times longer than predicted it takes, where that is more
        self._full = _Full(b"", 0, 0.0, 0.0, 0)  # the latest refusal, while nothing has changed since

    @property
    def idle(self) -> bool:
        """Whether another run may begin."""
        return len(self._ends) < self._at_a_time

    @property
    def empty(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._ends and not self.waiting

    def require_room(self, caller: bytes, rows: int, due: float, now: float) -> float:
        """Seconds that a request would take, as predicted. Raises Overloaded when that is too long; TimedOut when it would
        be with nobody else there, or while the model hangs: a run is over its time by more than a deadline."""
        full = self._full
        if (
            now < full.until
            and full.caller == caller
            and full.rows == rows
            and full.alone <= due - now <= self._deadline
        ):
            raise overloaded(full.retry_after)
        alone = self._cost.of_queue(rows, self.run_rows)
        if self.empty:
            return alone
        if not self.idle and min(self._ends) + self._deadline < now:
            raise TimedOut("the model does not answer", hint="try again later")
        through = self._ahead(self._turn(caller) + rows) + rows
        whole_runs = -(-through // self.run_rows) * self.run_rows  # its answer comes when its run is over
        queue = self._cost.of_queue(whole_runs, self.run_rows) / self._at_a_time
        wait = self._left(now) + queue
        if now + MARGIN * self._stretch * wait <= due:
            return wait
        if now + alone > due:
            raise TimedOut(
                "the answer would come too late",
                limit=f"{(due - now) * 1000:.0f} ms",
                hint="send fewer rows, or try again later",
            )
        retry_after = min(max(ceil(wait), 1), 30)
        if not self.idle:
            over = min(self._ends)
            until = min(over - (self._deadline / (MARGIN * self._stretch) - queue), over)
            self._full = _Full(caller, rows, alone, until, retry_after)
        raise overloaded(retry_after)

    def enter(self, request: PredictRequest, now: float) -> None:
        """Let it wait for its turn. Raises as `require_room`."""
        rows = request.rows.count
        wait = self.require_room(request.caller, rows, request.due, now)
        request.entered, request.predicted = now, wait
        request.turn = self._turn(request.caller) + rows
        if self._turns.pop(request.caller, None) is None:
            self._strangers = request.turn
        self._turns[request.caller] = request.turn
        self._changed()
        insort(self.waiting, request, key=_turn_of)
        self.rows += rows

    def put_back(self, requests: list[PredictRequest]) -> None:
        """In front of all others."""
        self._changed()
        self.waiting = requests + self.waiting
        self.rows += sum(request.rows.count for request in requests)

    def leave(self, requests: Iterable[PredictRequest]) -> None:
        """They wait no longer."""
        self._changed()
        gone = {id(request) for request in requests}
        self.waiting = [request for request in self.waiting if id(request) not in gone]
        self.rows = sum(request.rows.count for request in self.waiting)

    def leave_all(self) -> list[PredictRequest]:
        """Nobody waits any longer; those who did."""
        self._changed()
        gone, self.waiting, self.rows = self.waiting, [], 0
        return gone

    def take(self, now: float) -> tuple[list[PredictRequest], list[PredictRequest]]:
        """(the next run's, those whose time would be up before the run was over). When all would be late, the one that has
        most time left runs nevertheless: else nothing would ever correct a cost that was learnt wrong."""
        self.run_rows = self._fitting()
        batch: list[PredictRequest] = []
        late: list[PredictRequest] = []
        rows, first = 0, inf
        for request in self.waiting:
            count = request.rows.count
            if batch and (rows + count > self.run_rows or request.alone or batch[0].alone):
                break
            if batch and now + MARGIN * self._cost.of(rows + count) > min(first, request.due):
                break  # more rows would make it late for somebody
            if now + self._cost.of_queue(count, self.run_rows) > request.due:
                late.append(request)
            else:
                batch.append(request)
                rows, first = rows + count, min(first, request.due)
        if late and not batch:
            last = max(late, key=_due_of)
            if last.due > now:
                late.remove(last)
                batch.append(last)
        self.leave((*batch, *late))
        self._served = max((self._served, *(request.turn for request in batch)))
        if len(self._turns) > _CALLERS:
            self._turns = dict(list(self._turns.items())[-_CALLERS // 2 :])
        for request in late:
            self._compare(request, now)
        return batch, late

    def begin(self, batch: list[PredictRequest], now: float) -> float:
        """A run begins; when it should be over, for `end`."""
        over = now + self._cost.of_queue(sum(request.rows.count for request in batch), self.run_rows)
        self._ends.append(over)
        self._changed()
        return over

    def end(self, over: float, batch: list[PredictRequest], took: Iterable[tuple[int, float]], now: float) -> None:
        """That run is over. took: rows and seconds of each of its slices."""
        self._ends.remove(over)
        for rows, seconds in took:
            self._cost.note(rows, seconds)
        if batch:
            self._compare(batch[0], now)
        self._changed()

    def _changed(self) -> None:
        """Whoever asks from now on may be let in."""
        self._full = self._full._replace(until=0.0)

    def _fitting(self) -> int:
        seconds = min(RUN_PART * self._deadline, RUN_SECONDS)
        return self._cost.fitting(max(seconds, RUN_MORE * self._cost.of(1)), RUN_ROWS)

    def _turn(self, caller: bytes) -> float:
        """The latest turn a caller had, as far as that may lie back. Strangers have saved nothing and share one turn, so
        that nobody gains by ever new names."""
        had = self._turns.get(caller)
        return max(self._served, self._strangers) if had is None else max(self._served - self._saved(), had)

    def _saved(self) -> int:
        run = self._cost.of(self.run_rows)
        return int(SAVED_PART * self._deadline / run * self.run_rows) if run else 0

    def _ahead(self, turn: float) -> int:
        """Rows whose turn comes no later."""
        if not self.waiting or self.waiting[-1].turn <= turn:
            return self.rows
        return sum(request.rows.count for request in self.waiting if request.turn <= turn)

    def _left(self, now: float) -> float:
        """Seconds until the next run may begin. A run that is overdue says nothing about when it will be over."""
        return 0.0 if self.idle else max(0.0, min(self._ends) - now)

    def _compare(self, request: PredictRequest, now: float) -> None:
        """Learn from one request how far predictions are off: others may have come before it, or the machine be busy."""
        if request.predicted > 0.0:
            off = min((now - request.entered) / request.predicted, _FURTHEST)
            self._stretch = max(1.0, self._stretch + _WEIGHT * (off - self._stretch))


def _turn_of(request: PredictRequest) -> float:
    return request.turn


def _due_of(request: PredictRequest) -> float:
    return request.due
