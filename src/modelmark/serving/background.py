"""Work that goes on beside serving. What fails there is told and counted, and goes on: no worker ends of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from modelmark.serving.metrics import Metrics

Work = Callable[[], Coroutine[Any, Any, None]]

#: How long after a failure it is tried again, in seconds.
AGAIN = 0.5


async def go_on(task: str, work: Work, metrics: Metrics) -> None:
    """Run work that has no end of its own, and run it again after it failed. Until cancelled, or until it returns."""
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # whatever it is, answers do not depend on it
            metrics.failed(task, error)
        else:
            return
        await asyncio.sleep(AGAIN)
