"""One flush per turn of the event loop: all requests that have arrived are checked, run, journaled, answered together.

A lone request is never made to wait for company. What has expired, or whose caller has gone, never reaches a model.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Checked, Flag
from modelmark.domain.errors import ModelmarkError, NotYet, OutputInvalid, Overloaded, TimedOut
from modelmark.domain.prediction import Path
from modelmark.journal.wal.records import Predicted
from modelmark.journal.wal.writer import Writer
from modelmark.serving import fallback
from modelmark.serving.answers import Answer, Call
from modelmark.serving.metrics import Histogram, Metrics, key
from modelmark.serving.models import Loaded

#: Rows of one flush; the rest waits for the next turn, so that other work gets its turn too.
FLUSH_ROWS: Final = 1024
#: A request with more rows than this runs in a thread, so that the loop stays free.
LARGE_ROWS: Final = 256

Scores = NDArray[np.float64]
#: Looked up once: until Python 3.12 a member of an enum is found, and its `value` read, by a function in Python.
_MODEL: Final = Path.MODEL


class Batcher:
    """Owns the queue. refuse: told of every refusal, for the journal's counts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Writer,
        metrics: Metrics,
        *,
        max_requests: int = 1024,
        max_bytes: int = 64 * 1024 * 1024,
        refuse: Callable[[Call, ModelmarkError], None],
    ) -> None:
        self._loop, self._writer, self._metrics, self._refuse = loop, writer, metrics, refuse
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self._queue: list[Call] = []
        self._bytes = 0
        self._running = 0
        self._scheduled = False
        self._rate = 1000.0  # answers a second, smoothed
        self._flushed_at = perf_counter()
        self._keys: dict[tuple[str, str, str], tuple[str, str, Histogram]] = {}

    @property
    def waiting(self) -> int:
        """Requests taken in and not yet answered."""
        return len(self._queue) + self._running

    def submit(self, call: Call) -> None:
        """Raises Overloaded when the queue is full, in count or in bytes."""
        if self.waiting >= self._max_requests or self._bytes + call.size > self._max_bytes:
            seconds = 1 + int(self.waiting / max(self._rate, 1.0))
            raise Overloaded("too many requests are waiting", retry_after=min(seconds, 30))
        self._bytes += call.size
        if call.rows.count > LARGE_ROWS:
            self._running += 1
            task = self._loop.create_task(self._large(call))
            task.add_done_callback(self._large_done)
            return
        self._queue.append(call)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Answer what waits."""
        calls = self._take()
        self._scheduled = bool(self._queue)
        if self._scheduled:
            self._loop.call_soon(self.flush)
        for group in _by_version(calls):
            try:
                self._answer_group(group)
            except Exception as error:  # noqa: BLE001  # a defect of ours must not leave callers without an answer
                self._loop.call_exception_handler({"message": "a flush failed", "exception": error})
                for call in group:
                    call.answer, call.error = None, ModelmarkError("the server made a mistake")
        self._finish(calls)

    def _take(self) -> list[Call]:
        if len(self._queue) == 1 and not self._queue[0].exchange.gone:
            calls, self._queue = self._queue, []
            self._bytes -= calls[0].size
            return calls
        rows = 0
        for index, call in enumerate(self._queue):
            rows += call.rows.count
            if rows > FLUSH_ROWS:
                calls, self._queue = self._queue[:index], self._queue[index:]
                break
        else:
            calls, self._queue = self._queue, []
        kept = [call for call in calls if not call.exchange.gone]
        self._bytes -= sum(call.size for call in calls)
        if len(kept) < len(calls):
            self._metrics.add("modelmark_abandoned_total", len(calls) - len(kept))
        return kept

    def _answer_group(self, group: list[Call]) -> None:
        version = group[0].version
        now = perf_counter()
        live = [call for call in group if now - call.received <= version.deadline]
        if len(live) < len(group):
            for call in group:
                if now - call.received > version.deadline:
                    self._fall_back(call, [], _late(version), "deadline", in_time=False)
            if not live:
                return
        checked = version.codec.check([call.rows for call in live])
        for position, error in checked.refused.items():
            live[position].error = error
        if not checked.kept:
            return
        kept = [live[position] for position in checked.kept]
        try:
            scores = self._run(version, checked.numbers, checked.texts)
        except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises
            self._one_by_one(version, kept, checked, error)
            return
        self._judge(version, kept, checked, scores)

    def _run(self, version: Loaded, numbers: Scores, texts: Sequence[str]) -> Scores:
        self._metrics.add("modelmark_model_runs_total")
        self._metrics.add("modelmark_model_rows_total", len(numbers))
        return version.flavour.run(numbers, texts)

    def _judge(self, version: Loaded, kept: list[Call], checked: Checked, scores: Scores) -> None:
        """Hand each call its rows of the scores, or its fallback."""
        try:
            bad = version.guard.look(scores, len(checked.numbers))
        except OutputInvalid as error:
            for at, call in enumerate(kept):
                self._fall_back(call, _flags(checked, at), error, "shape", in_time=True)
            return
        late = perf_counter()
        rows, spans = scores.tolist(), checked.spans
        for at, call in enumerate(kept):
            start, end = spans[at], spans[at + 1]
            flags = _flags(checked, at)
            if bad is not None and bad[start:end].any():
                row = int(bad[start:end].argmax())
                self._fall_back(call, flags, _nonsense(row), "output", in_time=True)
            elif late - call.received > version.deadline:
                self._fall_back(call, flags, _late(version), "deadline", in_time=False)
            else:
                call.answer = Answer(
                    self._writer.ids.next(time.time_ns()),
                    version,
                    call.route.arms[call.arm].name,
                    _MODEL,
                    [version.decide(row) for row in rows[start:end]],
                    flags,
                    scores[start:end].tobytes(),
                )

    def _one_by_one(self, version: Loaded, kept: list[Call], checked: Checked, error: Exception) -> None:
        """The run failed: find whose rows it was, so that nobody else suffers."""
        print(f"model {version.model} {version.label} failed: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        for at, call in enumerate(kept):
            flags = _flags(checked, at)
            if len(kept) == 1:
                self._fall_back(
                    call, flags, OutputInvalid("the model could not compute an answer"), "error", in_time=True
                )
                continue
            self._answer_group([call])

    def _fall_back(self, call: Call, flags: list[Flag], why: ModelmarkError, reason: str, *, in_time: bool) -> None:
        self._metrics.add(key("modelmark_fallback_total", model=call.route.model, reason=reason))
        try:
            call.answer = fallback.answer(call, self._writer.ids.next(time.time_ns()), flags, why, in_time=in_time)
        except ModelmarkError as error:
            call.error = error

    async def _large(self, call: Call) -> None:
        """Check on the loop, run in a thread, go on on the loop."""
        version = call.version
        if not call.exchange.gone:
            checked = version.codec.check([call.rows])
            if checked.refused:
                call.error = checked.refused[0]
            else:
                try:
                    scores = await asyncio.to_thread(self._run, version, checked.numbers, checked.texts)
                    self._judge(version, [call], checked, scores)
                except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises
                    self._one_by_one(version, [call], checked, error)
        else:
            self._metrics.add("modelmark_abandoned_total")
        self._running -= 1
        self._bytes -= call.size
        self._finish([call])

    def _large_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            print(f"a large request failed: {task.exception()!r}", file=sys.stderr)  # noqa: T201

    def _finish(self, calls: list[Call]) -> None:
        """Journal, then answer. An answer never leaves before its record is in the journal."""
        now = perf_counter()
        answered = [call for call in calls if call.answer is not None]
        if answered:
            at = time.time_ns()
            try:
                self._writer.append_many([_record(call, call.answer, at, now) for call in answered if call.answer])
            except NotYet as error:
                for call in answered:
                    call.answer, call.error = None, error
        for call in calls:
            answer = call.answer
            if answer is not None:
                self._reply(call, answer, now)
            elif call.error is not None:
                self._refuse(call, call.error)
        elapsed = now - self._flushed_at
        if elapsed > 0 and calls:
            self._rate += 0.1 * (min(len(calls) / elapsed, 1e5) - self._rate)
            self._flushed_at = now

    def _reply(self, call: Call, answer: Answer, now: float) -> None:
        try:
            body = call.render(answer)
        except Exception as error:  # noqa: BLE001  # a protocol's defect must not cost others their answers
            self._loop.call_exception_handler({"message": "an answer could not be written", "exception": error})
            self._refuse(call, ModelmarkError("the server made a mistake"))
            return
        if type(body) is bytes:
            call.exchange.reply(200, body)
        else:
            call.exchange.reply(200, *body)
        self._count(call, answer, now)

    def _count(self, call: Call, answer: Answer, now: float) -> None:
        which = (call.route.model, answer.version.label, str(answer.path))
        known = self._keys.get(which)
        if known is None:
            labels = {"model": which[0], "version": which[1], "served_by": which[2]}
            known = self._keys[which] = (
                key("modelmark_requests_total", **labels),
                key("modelmark_rows_total", **labels),
                self._metrics.histogram(key("modelmark_request_seconds", model=which[0])),
            )
        counters: dict[str, Any] = self._metrics.counters
        counters[known[0]] = counters.get(known[0], 0.0) + 1
        counters[known[1]] = counters.get(known[1], 0.0) + call.rows.count
        known[2].observe(now - call.received)


def _by_version(calls: list[Call]) -> Iterable[list[Call]]:
    if len(calls) == 1:
        return (calls,)
    groups: dict[int, list[Call]] = {}
    for call in calls:
        groups.setdefault(id(call.version), []).append(call)
    return groups.values()


def _flags(checked: Checked, at: int) -> list[Flag]:
    return checked.flags.get(checked.kept[at], []) if checked.flags else []


def _record(call: Call, answer: Answer, at: int, now: float) -> Predicted:
    rows = call.rows
    return Predicted(
        answer.id,
        at,
        call.route.model,
        str(answer.version.id),
        answer.arm,
        str(answer.path),
        call.exchange.request_id,
        call.entity,
        rows.count,
        rows.numbers,
        rows.texts,
        answer.flags,
        answer.scores,
        int((now - call.received) * 1e6),
    )


def _late(version: Loaded) -> TimedOut:
    limit = f"{version.contract.serving.deadline_ms} ms"
    return TimedOut("the answer would come too late", limit=limit, hint="send fewer rows, or try again later")


def _nonsense(row: int) -> OutputInvalid:
    return OutputInvalid("the model's answer is not finite or out of its range", field="outputs", row=row)
