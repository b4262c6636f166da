"""How every request that was taken in ends: journaled and answered, or refused, once."""

from __future__ import annotations

import asyncio
import time
from time import perf_counter
from typing import Any, Final, cast

from modelmark.domain.errors import ModelmarkError, NotYet
from modelmark.journal.wal.records import Predicted
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Writer
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.metrics import Histogram, Metrics, key
from modelmark.serving.observers import Observers
from modelmark.serving.refusals import Refusals
from modelmark.serving.rollout.arm_outcomes import ArmOutcomes
from modelmark.serving.timing.requests import end_batch, part

#: The longest that a caller is told to stay away, in seconds.
LONGEST: Final = 30
#: The flag, in the journal, of rows that were answered as they were before, without a run; of no input.
CACHED: Final = "CACHED"


class Outcomes:
    """requests, bytes: taken in and not yet answered."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        writer: Writer | RenewedWriter,
        metrics: Metrics,
        refusals: Refusals,
        observers: Observers,
    ) -> None:
        self._loop, self._writer, self._metrics = loop, writer, metrics
        self._refusals, self._observers = refusals, observers
        self.arms = ArmOutcomes()
        self.requests = self.bytes = 0
        self.timed = False  # there was a request whose time somebody wants to know
        self.rate = 1000.0  # answers a second, smoothed
        self._told_at = perf_counter()
        self._keys: dict[tuple[str, str, str], tuple[str, str, Histogram]] = {}

    def expect(self, request: PredictRequest) -> None:
        self.requests += 1
        self.bytes += request.size

    def forget(self, request: PredictRequest) -> None:
        """Nobody waits for it, or it was told."""
        request.done = True
        self.requests -= 1
        self.bytes -= request.size

    def seconds(self) -> int:
        """Until what waits now should be answered, whole and at least 1."""
        return min(1 + int(self.requests / max(self.rate, 1.0)), LONGEST)

    def tell(self, requests: list[PredictRequest]) -> None:
        """Journal, then answer. An answer never leaves before its record is in the journal."""
        now = perf_counter()
        answered = [request for request in requests if request.answer is not None and not request.done]
        if answered:
            at = time.time_ns()
            try:
                self._writer.append_many([_record(request, at, now) for request in answered])
            except NotYet as error:
                for request in answered:
                    request.answer, request.error = None, error
            except Exception as error:  # noqa: BLE001  # without its record no answer leaves
                self.defect(answered, "a record could not be written", error)
            if self.timed:
                part(answered, "journal", now, perf_counter())
        for request in requests:
            if not request.apart and not request.done:
                self.forget(request)
                if request.timing is not None:
                    end_batch(request)
                self._tell(request, now)
                if request.timing is not None:
                    request.timing.end(perf_counter())
        if self._observers.active:
            told = [(request, request.answer) for request in answered if request.done and request.answer is not None]
            self._loop.call_soon(self._observers.tell, told)
        elapsed = now - self._told_at
        if elapsed > 0 and requests:
            self.rate += 0.1 * (min(len(requests) / elapsed, 1e5) - self.rate)
            self._told_at = now

    def _tell(self, request: PredictRequest, now: float) -> None:
        answer = request.answer
        if answer is not None:
            try:
                request.responder.answer(answer)
            except Exception as error:  # noqa: BLE001  # a protocol's defect must not cost others their answers
                self.defect([request], "an answer could not be written", error)
            else:
                self._count(request, answer, now)
                return
        refusal = request.error or ModelmarkError("the server made a mistake")
        try:
            self._refusals.note(request.route.arms[request.arm], refusal)
            if len(request.route.arms) > 1:
                self.arms.refused(request.route.arms[request.arm], refusal)
            request.responder.refuse(refusal)
        except Exception as error:  # noqa: BLE001  # as above
            self.defect([request], "a refusal could not be written", error)

    def defect(self, requests: list[PredictRequest], message: str, error: Exception) -> None:
        """A mistake of ours: told to the log, and to whoever waits for these, next."""
        self._loop.call_exception_handler({"message": message, "exception": error})
        for request in requests:
            if not request.done or request.answer is not None:
                request.answer, request.error = None, ModelmarkError("the server made a mistake")

    def _count(self, request: PredictRequest, answer: Answer, now: float) -> None:
        which = (request.route.model, answer.version.label, str(answer.served_by))
        known = self._keys.get(which)
        if known is None:
            labels = {"model": which[0], "version": which[1], "served_by": which[2]}
            known = self._keys[which] = (
                key("modelmark_requests_total", **labels),
                key("modelmark_rows_total", **labels),
                self._metrics.histogram(key("modelmark_request_seconds", model=which[0], version=which[1])),
            )
        counters: dict[str, Any] = self._metrics.counters
        counters[known[0]] = counters.get(known[0], 0.0) + 1
        counters[known[1]] = counters.get(known[1], 0.0) + request.rows.count
        known[2].observe(now - request.received)
        if len(request.route.arms) > 1:
            self.arms.answered(request.route.arms[request.arm], answer.served_by)


def _record(request: PredictRequest, at: int, now: float) -> Predicted:
    answer = cast(Answer, request.answer)
    rows = answer.rows
    return Predicted(
        answer.id,
        at,
        request.route.model,
        str(answer.version.id),
        answer.arm,
        str(answer.served_by),
        request.responder.request_id,
        request.entity,
        rows.count,
        rows.numbers,
        rows.texts,
        [*answer.flags, *((row, "", CACHED) for row in range(rows.count))] if answer.cached else answer.flags,
        answer.packed,
        int((now - request.received) * 1e6),
        request.event,
    )
