"""One flush per turn of the event loop: all requests that have arrived are checked, run, journaled, answered together.

A lone request is never made to wait for company. What has expired, or whose caller has gone, never reaches a model.
A model that is slow runs in a thread of its own (`execution`), and what waits for it stands in its lane (`lanes`): let in
only if it can be answered in time, and answered by its fallback when its deadline comes all the same, so that no model can
keep a caller, or another model, waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Checked, Flag
from modelmark.domain.errors import ModelmarkError, OutputInvalid, Overloaded, TimedOut
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Writer
from modelmark.serving import fallback
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.caching.cache import Cache
from modelmark.serving.caching.run import Run
from modelmark.serving.lanes import Lane
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.models import LoadedModel
from modelmark.serving.observers import Observers
from modelmark.serving.outcomes import Outcomes
from modelmark.serving.refusals import Refusals
from modelmark.serving.telling import tell_again
from modelmark.serving.timing.requests import begin_batch, part

#: Rows and requests of one flush on the loop; the rest waits for the next turn, so that other work gets its turn too.
FLUSH_ROWS: Final = 1024
FLUSH_REQUESTS: Final = 128
#: A request with more rows than this runs off the loop, unless its model never leaves it.
LARGE_ROWS: Final = 256

#: How often, at least, the deadlines of those who wait for a run off the loop are looked at, in seconds.
WATCH: Final = 0.05

Scores = NDArray[np.float64]
#: Looked up once: until Python 3.12 a member of an enum is found, and its `value` read, by a function in Python.
_MODEL: Final = ServedBy.MODEL


class Batcher:
    """Owns the queue. Whatever happens, every request it took hears `answer` or `refuse`, once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Writer | RenewedWriter,
        metrics: Metrics,
        refusals: Refusals,
        observers: Observers,
        *,
        max_requests: int = 1024,
        max_bytes: int = 64 * 1024 * 1024,
        cache: Cache | None = None,
    ) -> None:
        """cache: None asks the model each time."""
        self._cache = cache
        self._loop, self._writer, self._metrics = loop, writer, metrics
        self.outcomes = Outcomes(loop, writer, metrics, refusals, observers)
        self._max_requests, self.max_bytes = max_requests, max_bytes
        self._queue: list[PredictRequest] = []
        self._lanes: dict[int, Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False

    def look(self) -> tuple[int, bool]:
        """(requests that wait for a run, whether one goes on)"""
        lanes = self._lanes.values()
        return sum(len(lane.waiting) for lane in lanes), any(not lane.idle for lane in lanes)

    def require_room(self, version: LoadedModel, caller: bytes, due: float) -> None:
        """Before anything is made of a request: raises Overloaded when it could not be answered in time."""
        lane = self._lanes.get(id(version)) if self._lanes else None
        if lane is not None and not version.execution.fits_loop(1):
            with suppress(TimedOut):  # what is too late may have a fallback, and that wants to know the rows
                lane.require_room(caller, 1, due, perf_counter())

    def submit(self, request: PredictRequest) -> None:
        """Raises Overloaded when the queue is full, in count or in bytes."""
        outcomes = self.outcomes
        if outcomes.requests >= self._max_requests or outcomes.bytes + request.size > self.max_bytes:
            raise Overloaded("too many requests are waiting", retry_after=outcomes.seconds())
        outcomes.expect(request)
        if request.timing is not None:
            outcomes.timed = True
        if request.rows.count > LARGE_ROWS and not request.version.execution.stays_on_loop:
            try:
                self._run_apart(request.version, [request])
            finally:
                self.outcomes.tell([request])
            return
        self._queue.append(request)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Answer what waits, or hand it to a lane."""
        requests = self._take()
        self._scheduled = bool(self._queue)
        if self._scheduled:
            self._loop.call_soon(self.flush)
        try:
            for group in _by_version(requests):
                self._answer_group(group)
        finally:
            self.outcomes.tell(requests)

    def _take(self) -> list[PredictRequest]:
        if len(self._queue) == 1 and not self._queue[0].responder.gone:
            requests, self._queue = self._queue, []
            return requests
        count = _fitting(self._queue)
        requests, self._queue = self._queue[:count], self._queue[count:]
        return self._present(requests)

    def _present(self, requests: list[PredictRequest]) -> list[PredictRequest]:
        """Those whose callers have not hung up; the others are forgotten."""
        kept = [request for request in requests if not request.responder.gone]
        if len(kept) < len(requests):
            self._metrics.add("modelmark_abandoned_total", len(requests) - len(kept))
            for request in requests:
                if request.responder.gone:
                    self.outcomes.forget(request)
        return kept

    def _answer_group(self, group: list[PredictRequest]) -> None:
        """Requests of one version: answered, refused, or in a lane. A defect of ours is a refusal, never silence."""
        version = group[0].version
        taken = perf_counter()
        try:
            rows = group[0].rows.count if len(group) == 1 else sum([request.rows.count for request in group])
            if not version.execution.fits_loop(rows):
                self._run_apart(version, group)
                return
            checked, kept = self._checked_in_time(version, group)
            if self.outcomes.timed:
                begin_batch(group, taken)
                part(group, "validate", taken, perf_counter())
            if self._cache is not None and kept:
                checked, kept = self._not_cached(self._cache, version, checked, kept)
            if not kept:
                return
            begun = perf_counter()
            try:
                scores = self._run(version, checked.numbers, checked.texts)
            except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises
                self._blame(version, kept, _flags(checked, 0), error)
                if len(kept) > 1:
                    for request in kept:
                        self._answer_group([request])
                return
            ran = perf_counter()
            self._judge(version, kept, [_flags(checked, at) for at in range(len(kept))], scores)
            self._keep(version, kept, ran - begun)
            if self.outcomes.timed:
                part(kept, "model", begun, ran)
                part(kept, "guard", ran, perf_counter())
        except Exception as error:  # noqa: BLE001  # a defect of ours must not leave callers without an answer
            self.outcomes.defect(group, "a flush failed", error)

    def _not_cached(
        self, cache: Cache, version: LoadedModel, checked: Checked, kept: list[PredictRequest]
    ) -> tuple[Checked, list[PredictRequest]]:
        """Those that must be computed; the others have their answer."""
        left: list[PredictRequest] = []
        for at, request in enumerate(kept):
            start, end = checked.spans[at], checked.spans[at + 1]
            width = len(checked.texts) // len(checked.numbers)
            found = self._look_up(
                cache, version, request, checked.numbers[start:end], checked.texts[start * width : end * width],
                _flags(checked, at),
            )  # fmt: skip
            if not found:
                left.append(request)
        if len(left) == len(kept):
            return checked, kept
        return (version.codec.check([request.rows for request in left]) if left else checked), left

    def _look_up(
        self,
        cache: Cache,
        version: LoadedModel,
        request: PredictRequest,
        numbers: Scores,
        texts: Sequence[str],
        flags: list[Flag],
    ) -> bool:
        """Answer a request as the same one was answered before. False where it was not."""
        request.key, scores = cache.look_up(version.id, f"{version.model} {version.label}", numbers, texts)
        if scores is None:
            return False
        self._judge(version, [request], [flags], scores)
        if request.answer is not None:
            request.answer.cached = True
        return True

    def _keep(self, version: LoadedModel, answered: list[PredictRequest], seconds: float) -> None:
        """seconds: what their run took."""
        if self._cache is None:
            return
        for request in answered:
            answer = request.answer
            if request.key and answer is not None and answer.version is version and answer.served_by is _MODEL:
                self._cache.keep(version.id, request.key, answer.packed, seconds / len(answered))

    def _checked_in_time(
        self, version: LoadedModel, group: list[PredictRequest]
    ) -> tuple[Checked, list[PredictRequest]]:
        """Those that the contract lets through and for whom an answer is not too late; others get refusal or fallback."""
        checked = version.codec.check([request.rows for request in group])
        for position, error in checked.refused.items():
            group[position].error = error
        kept = [group[position] for position in checked.kept] if checked.refused else group
        now = perf_counter()
        live = [request for request in kept if now <= request.due]
        if len(live) == len(kept):
            return checked, kept
        for at, request in enumerate(kept):
            if now > request.due:
                self._fall_back(request, _flags(checked, at), _late(request), "deadline", in_time=False)
        return (version.codec.check([request.rows for request in live]) if live else checked), live

    def _run(self, version: LoadedModel, numbers: Scores, texts: Sequence[str]) -> Scores:
        self._metrics.add("modelmark_model_runs_total")
        self._metrics.add("modelmark_model_rows_total", len(numbers))
        return version.execution.run(numbers, texts)

    def _judge(self, version: LoadedModel, kept: list[PredictRequest], flags: list[list[Flag]], scores: Scores) -> None:
        """Hand each request its rows of the scores, or its fallback. flags: each request's."""
        try:
            bad = version.guard.check(scores, sum([request.rows.count for request in kept]))
        except OutputInvalid as error:
            for at, request in enumerate(kept):
                self._fall_back(request, flags[at], error, "shape", in_time=True)
            return
        late = perf_counter()
        flat: list[float] = scores.ravel().tolist()
        decided, width = version.decide(flat), version.decide.width
        end = 0
        for at, request in enumerate(kept):
            start, end = end, end + request.rows.count
            if request.done:
                continue
            if bad is not None and bad[start:end].any():
                row = int(bad[start:end].argmax())
                self._fall_back(request, flags[at], _nonsense(row), "output", in_time=True)
            elif late > request.due:
                self._fall_back(request, flags[at], _late(request), "deadline", in_time=False)
            else:
                request.answer = Answer(
                    self._writer.ids.next(time.time_ns(), request.rows.count),
                    version,
                    request.route.arms[request.arm].name,
                    _MODEL,
                    decided[start:end],
                    flags[at],
                    flat[start * width : end * width],
                    scores[start:end].tobytes(),
                    request.rows,
                )

    def _blame(self, version: LoadedModel, kept: list[PredictRequest], flags: list[Flag], error: Exception) -> None:
        """The run failed. One request alone gets its fallback; of several, the caller tries each alone, to find whose rows
        it was, so that nobody else suffers."""
        tell_again(f"model {version.model} {version.label} failed: {type(error).__name__}")
        if len(kept) == 1:
            why = OutputInvalid("the model could not compute an answer")
            self._fall_back(kept[0], flags, why, "error", in_time=True)

    def _fall_back(
        self, request: PredictRequest, flags: list[Flag], why: ModelmarkError, reason: str, *, in_time: bool
    ) -> None:
        if request.done:  # it was due while its run went on
            return
        self._metrics.add(key("modelmark_fallback_total", model=request.route.model, reason=reason))
        id = self._writer.ids.next(time.time_ns(), request.rows.count)
        if fallback.is_slow(request, in_time=in_time):
            request.apart = True
            self._start(self._fall_back_apart(request, id, flags, why))
            return
        try:
            request.answer = fallback.answer(request, id, flags, why, in_time=in_time)
        except ModelmarkError as error:
            request.error = error

    def _keep_shared(self, version: LoadedModel, run: Run) -> None:
        """What a run computed, and what it heard that other workers had."""
        for request in run.heard:
            if request.answer is not None:
                request.answer.cached = True
        self._keep(version, run.computed, sum(seconds for _, seconds in run.took))
        if self._cache is not None:
            self._cache.note_shared(version.id, len(run.heard), run.asking)

    # Off the loop

    def _run_apart(self, version: LoadedModel, requests: list[PredictRequest]) -> None:
        """Into the version's lane, as far as the contract lets them through and they can be answered in time. Whoever is
        not `apart` then has an answer or a refusal."""
        lane = self._lanes.get(id(version)) or Lane(version.execution, version.deadline)
        for request in requests:
            try:
                self._enter(version, lane, request)
            except Exception as error:  # noqa: BLE001  # a defect of ours must not leave callers without an answer
                self.outcomes.defect([request], "a request could not be let in", error)
        if lane.waiting:
            self._lanes[id(version)] = lane
            self._next_run(version, lane)

    def _enter(self, version: LoadedModel, lane: Lane, request: PredictRequest) -> None:
        begun = perf_counter()
        checked = request.checked = version.codec.check([request.rows])
        part([request], "validate", begun, perf_counter())
        if checked.refused:
            request.error = checked.refused[0]
            return
        if self._cache is not None and self._look_up(
            self._cache, version, request, checked.numbers, checked.texts, _flags(checked, 0)
        ):
            return
        now = perf_counter()
        try:
            if now > request.due:
                raise _late(request)
            lane.enter(request, now)
        except TimedOut as error:
            self._fall_back(request, _flags(checked, 0), error, "deadline", in_time=False)
        except Overloaded as error:
            request.error = error
        else:
            request.apart = True

    def _next_run(self, version: LoadedModel, lane: Lane) -> None:
        """Begin what runs of a lane may begin, and let the lane go when nothing waits and nothing runs."""
        while lane.waiting and lane.idle:
            taken, late = lane.take(perf_counter())
            self._give_up(late)
            batch = self._present(taken)
            if batch:
                over = lane.begin(batch, perf_counter())
                self._start(self._answer_apart(version, lane, batch, over))
        if lane.empty:
            self._lanes.pop(id(version), None)

    async def _answer_apart(
        self, version: LoadedModel, lane: Lane, requests: list[PredictRequest], over: float
    ) -> None:
        """`_answer_group` in a thread: run there, go on on the loop, then begin the lane's next run."""
        took: list[tuple[int, float]] = []
        for request in requests:
            request.apart = False
        try:
            run = Run(version.execution, requests, lane.run_rows, self._cache.shared if self._cache else None)
            took = run.took
            self._metrics.add("modelmark_model_runs_total")
            begun = perf_counter()
            begin_batch(requests, begun)
            future = self._loop.run_in_executor(version.execution.threads, run)
            await self._watch_deadlines(future, requests, lane)
            ran = perf_counter()
            self._metrics.add("modelmark_model_rows_total", sum(rows for rows, _ in took))
            try:
                scores = future.result()
            except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises
                self._blame(version, requests, _own_flags(requests[0]), error)
                self._each_alone(requests, lane)
            else:
                if scores is not None:
                    self._judge(version, requests, [_own_flags(request) for request in requests], scores)
                    self._keep_shared(version, run)
                    part(requests, "model", begun, ran)
                    part(requests, "guard", ran, perf_counter())
        except asyncio.CancelledError:  # the worker itself ends
            self._give_up(lane.leave_all())
            raise
        except Exception as error:  # noqa: BLE001  # a defect of ours must not leave callers without an answer
            self.outcomes.defect(requests, "a run off the loop failed", error)
        finally:
            lane.end(over, requests, took, perf_counter())
            self.outcomes.tell(self._present([request for request in requests if not (request.done or request.apart)]))
            self._next_run(version, lane)

    def _each_alone(self, requests: list[PredictRequest], lane: Lane) -> None:
        """Put them back in front of the lane, where their deadlines are watched, each to be run by itself."""
        if len(requests) > 1:
            again = [request for request in requests if not request.done]
            for request in again:
                request.apart = request.alone = True
            lane.put_back(again)

    async def _watch_deadlines(
        self, run: asyncio.Future[Scores | None], requests: list[PredictRequest], lane: Lane
    ) -> None:
        """Wait for a run; whoever is due meanwhile, in it or behind it, is answered by the fallback at once."""
        while not run.done():
            open_ones = [request for request in (*requests, *lane.waiting) if not request.done]
            first = min((request.due - perf_counter() for request in open_ones), default=WATCH)
            await asyncio.wait({run}, timeout=min(max(0.0, first) + 1e-4, WATCH))
            if run.done():
                return
            late = [request for request in open_ones if not request.done and perf_counter() > request.due]
            if late:
                lane.leave(late)
                self._give_up(late)

    def _give_up(self, late: list[PredictRequest]) -> None:
        """Their time is up, or would be: the fallback answers them now."""
        for request in late:
            request.apart = False
            self._fall_back(request, _own_flags(request), _late(request), "deadline", in_time=False)
        self.outcomes.tell(late)

    async def _fall_back_apart(self, request: PredictRequest, id: str, flags: list[Flag], why: ModelmarkError) -> None:
        """A fallback that computes, in the threads of the version that does; without it when that takes too long."""
        previous = request.previous
        try:
            if previous is None:
                raise why
            run = self._loop.run_in_executor(
                previous.execution.threads, lambda: fallback.answer(request, id, flags, why, in_time=True)
            )
            await asyncio.wait({run}, timeout=max(0.0, request.due - perf_counter()))
            if run.done():
                request.answer = run.result()
            else:
                run.cancel()
                request.answer = fallback.answer(request, id, flags, why, in_time=False)
        except ModelmarkError as error:
            request.error = error
        except Exception as error:  # noqa: BLE001  # a defect of ours must not leave callers without an answer
            self.outcomes.defect([request], "a fallback failed", error)
        finally:
            request.apart = False
            self.outcomes.tell([request])

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fitting(requests: Sequence[PredictRequest]) -> int:
    """How many of them, from the front, make one flush; at least one."""
    rows = 0
    for index, request in enumerate(requests):
        rows += request.rows.count
        if index and (rows > FLUSH_ROWS or index >= FLUSH_REQUESTS):
            return index
    return len(requests)


def _by_version(requests: list[PredictRequest]) -> Iterable[list[PredictRequest]]:
    if len(requests) == 1:
        return (requests,)
    groups: dict[int, list[PredictRequest]] = {}
    for request in requests:
        groups.setdefault(id(request.version), []).append(request)
    return groups.values()


def _flags(checked: Checked, at: int) -> list[Flag]:
    return checked.flags.get(checked.kept[at], []) if checked.flags else []


def _own_flags(request: PredictRequest) -> list[Flag]:
    """Of a request that was checked by itself."""
    return [] if request.checked is None else _flags(request.checked, 0)


def _late(request: PredictRequest) -> TimedOut:
    limit = f"{(request.due - request.received) * 1000:.0f} ms"
    return TimedOut("the answer would come too late", limit=limit, hint="send fewer rows, or try again later")


def _nonsense(row: int) -> OutputInvalid:
    return OutputInvalid("the model's answer is not finite or out of its range", field="outputs", row=row)
