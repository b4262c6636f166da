"""One shadow: a thread that asks it a copy of what others answered, and never holds anybody up."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

from modelmark.domain.errors import ModelmarkError
from modelmark.journal.wal.records import Shadowed
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.models import LiveArm

#: What waits for a shadow, at most: requests, and bytes of their bodies. What is over it is dropped and counted.
MAX_WAITING: Final = 256
MAX_BYTES: Final = 16 * 1024 * 1024

#: Takes what was said, an answer or an error, in the mirror's thread.
Taker = Callable[[Shadowed], None]


class Mirror:
    """Asks one version, one request after the other. A run that never ends costs its own thread alone."""

    def __init__(self, arm: LiveArm, take: Taker) -> None:
        self.arm, self._take = arm, take
        self._waiting: deque[tuple[PredictRequest, Answer]] = deque()
        self._bytes, self._over = 0, False
        self._wake = threading.Condition()
        threading.Thread(target=self._work, name="shadow", daemon=True).start()

    def ask(self, request: PredictRequest, answer: Answer) -> bool:
        """False when there is no room, and nothing is asked. Never waits for the shadow."""
        with self._wake:
            if self._over or len(self._waiting) >= MAX_WAITING or self._bytes + request.size > MAX_BYTES:
                return False
            self._waiting.append((request, answer))
            self._bytes += request.size
            self._wake.notify()
        return True

    def end(self) -> None:
        """What waits is forgotten. Waits for nothing."""
        with self._wake:
            self._over = True
            self._waiting.clear()
            self._wake.notify()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._over)
                if self._over:
                    return
                request, answer = self._waiting.popleft()
                self._bytes -= request.size
            self._take(shadowed(self.arm, request, answer))
            del request, answer  # nothing of it is held while the next is waited for


def shadowed(arm: LiveArm, request: PredictRequest, answer: Answer) -> Shadowed:
    """What the shadow says to a request that was answered so; an error is its answer, too."""
    version, begun, scores, error = arm.version, perf_counter(), b"", ""
    try:
        batch = version.codec.batch(request.reparse(version.codec))
        found = version.execution.run(batch.numbers, batch.texts)
        if version.guard.check(found, answer.rows.count) is not None:
            error = "MODEL_OUTPUT_INVALID"
        else:
            scores = found.tobytes()
    except ModelmarkError as refused:
        error = refused.code
    except Exception as failed:  # noqa: BLE001  # whatever a model's runtime raises
        error = type(failed).__name__
    took = perf_counter() - begun
    if took > version.deadline:
        error, scores = "DEADLINE_EXCEEDED", b""
    return Shadowed(
        answer.id, time.time_ns(), version.model, str(version.id), arm.name, answer.rows.count, scores, error,
        max(1, int(took * 1e6)),
    )  # fmt: skip
