"""Whoever wants to see live answers without touching them: shadows, for one."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.metrics import Metrics
from modelmark.serving.telling import tell_again

#: What waits to be told, at most: requests, and bytes of their bodies. What is over it is dropped and counted.
MAX_WAITING: Final = 256
MAX_BYTES: Final = 16 * 1024 * 1024

#: Told of an answered request; may take its time, and may raise. It must change neither.
Observer = Callable[[PredictRequest, Answer], None]


class Observers:
    """Tells observers of answers that have left, in a thread of its own: none can delay or fail a live answer."""

    def __init__(self, metrics: Metrics) -> None:
        """Made on the loop, which alone counts."""
        self._metrics, self._loop = metrics, asyncio.get_running_loop()
        self._known: tuple[Observer, ...] = ()
        self.active = False  # whether anybody wants to be told
        self._waiting: deque[tuple[PredictRequest, Answer]] = deque()
        self._bytes = 0
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def register(self, observer: Observer) -> None:
        """From now on it is told of every answer, in order, as long as it keeps up."""
        self._known = (*self._known, observer)
        self.active = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="observers", daemon=True)
            self._thread.start()

    def unregister(self, observer: Observer) -> None:
        """It is told of nothing that is answered from now on."""
        self._known = tuple(known for known in self._known if known != observer)
        self.active = bool(self._known)

    def tell(self, answered: Iterable[tuple[PredictRequest, Answer]]) -> None:
        """Never waits: what finds no room is dropped and counted."""
        dropped = 0
        with self._wake:
            for request, answer in answered:
                if len(self._waiting) >= MAX_WAITING or self._bytes + request.size > MAX_BYTES:
                    dropped += 1
                    continue
                self._waiting.append((request, answer))
                self._bytes += request.size
            self._wake.notify()
        if dropped:
            self._metrics.add("modelmark_observers_dropped_total", dropped)

    def _work(self) -> None:
        while True:
            self._tell_next()

    def _tell_next(self) -> None:
        """Nothing of it is held while the next is waited for."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting)
            request, answer = self._waiting.popleft()
            self._bytes -= request.size
        for observer in self._known:
            try:
                observer(request, answer)
            except Exception as error:  # noqa: BLE001  # nobody waits for an observer
                with suppress(RuntimeError):  # the loop has ended, and nobody reads its counters
                    self._loop.call_soon_threadsafe(self._metrics.add, "modelmark_observer_failures_total")
                tell_again(f"an observer failed: {type(error).__name__}: {error}")
