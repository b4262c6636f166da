"""An answer whose reply waits for its explanation, whatever the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.answers import Answer
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.wire import Later, Reply

#: From an explanation as JSON, or from why there is none, to the reply.
Render = Callable[[bytes | ModelmarkError], Reply]


def explained(pool: Explanations, answer: Answer, method: str, render: Render) -> Later:
    """The answer is journaled already, and stands whatever becomes of its explanation. It is of one row."""
    return Later(partial(_begin, pool, answer, method, render))


def _begin(pool: Explanations, answer: Answer, method: str, render: Render, send: Callable[[Reply], None]) -> None:
    loop = asyncio.get_running_loop()

    def done(found: bytes | ModelmarkError) -> None:
        loop.call_soon_threadsafe(send, render(found))

    if answer.served_by not in (ServedBy.MODEL, ServedBy.PREVIOUS_VERSION):
        done(Rejected("no model answered, so there is nothing to explain", code="CANNOT_EXPLAIN"))
        return
    try:
        pool.submit(answer, 0, method, done)
    except ModelmarkError as error:
        done(error)
