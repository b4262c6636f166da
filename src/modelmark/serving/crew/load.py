"""How busy this worker is, as its supervisor is told with each sign of life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

#: How often the queue is looked at, in seconds.
LOOK: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """Since the last report: waiting: requests that waited for a run, on average. busy: the part of the time in which the
    processor worked for this process, or a run of a model went on."""

    waiting: float
    busy: float

    def said(self) -> str:
        return f"{self.waiting:.2f} {self.busy:.3f}"

    @classmethod
    def heard(cls, words: str) -> Self | None:
        """None for what was not said by `said`."""
        try:
            waiting, busy = map(float, words.split())
        except ValueError:
            return None
        return cls(waiting, busy)


class Loads:
    """What is seen on the loop and told from the thread that says we live."""

    def __init__(self, look: Callable[[], tuple[int, bool]]) -> None:
        """look: (requests that wait for a run, whether one goes on)."""
        self._look = look
        self._looks = self._waiting = self._running = 0
        self._cpu, self._at = time.process_time(), time.monotonic()

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            waiting, running = self._look()
            self._looks, self._waiting, self._running = (
                self._looks + 1, self._waiting + waiting, self._running + running
            )  # fmt: skip

    def __call__(self) -> str:
        looks, waiting, running = max(self._looks, 1), self._waiting, self._running
        self._looks = self._waiting = self._running = 0
        cpu, at = time.process_time(), time.monotonic()
        used = (cpu - self._cpu) / max(at - self._at, 1e-3)
        self._cpu, self._at = cpu, at
        return Load(waiting / looks, max(used, running / looks)).said()
