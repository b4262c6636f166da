"""How long work says how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

#: (step, done, total); done == total ends the step.
Progress = Callable[[str, float, float], None]
T = TypeVar("T")


class Steps:
    """Progress for work that only says what it does next: each new sentence ends the one before."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._now: str | None = None

    def __call__(self, sentence: str) -> None:
        self.end()
        self._now = sentence
        self._progress(sentence, 0, 1)

    def end(self) -> None:
        if self._now is not None:
            self._progress(self._now, 1, 1)


def step(progress: Progress, name: str, work: Callable[[], T]) -> T:
    """One piece of work as one step."""
    progress(name, 0, 1)
    done = work()
    progress(name, 1, 1)
    return done
