"""Noting where the time of requests goes, of those of a batch whose time somebody wants to know."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter

from modelmark.serving.answers import PredictRequest


def part(requests: Iterable[PredictRequest], name: str, begin: float, end: float) -> None:
    """A stage of `timing.STAGES`, by `perf_counter`."""
    for request in requests:
        if request.timing is not None:
            request.timing.part(name, begin, end)


def begin_batch(requests: Iterable[PredictRequest], taken: float) -> None:
    """They were taken from where they waited."""
    for request in requests:
        if (timing := request.timing) is not None:
            timing.part("queue", timing.parts["parse"][1] if "parse" in timing.parts else timing.begin, taken)


def end_batch(request: PredictRequest) -> None:
    """It has its answer, or its refusal."""
    timing = request.timing
    if timing is None:
        return
    now = perf_counter()
    if "queue" in timing.parts:
        timing.part("batch", timing.parts["queue"][1], now)
    timing.facts |= {
        "model": request.route.model,
        "request_id": request.responder.request_id,
        "rows": request.rows.count,
    }
    if request.answer is not None:
        answer = request.answer
        timing.facts |= {
            "version": str(answer.version.id),
            "prediction_id": answer.id,
            "served_by": str(answer.served_by),
            "cached": int(answer.cached),
        }
    elif request.error is not None:
        timing.facts["error"] = request.error.code
