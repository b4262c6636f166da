"""Lines in the log of a serving process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from time import monotonic
from typing import Final

from modelmark.domain.printable import one_line


def tell(text: object) -> None:
    """One line on standard error. Nothing is raised where nobody reads it, or the disk it goes to is full."""
    with suppress(OSError, ValueError):
        print(one_line(text), file=sys.stderr, flush=True)  # noqa: T201


class Again:
    """What may happen at every request is told at once, then once in `seconds` with how often it was: a log on a full disk
    would be a fault more. Every request is counted by the metrics and the journal."""

    def __init__(
        self, seconds: float = 10.0, *, say: Callable[[str], None] = tell, clock: Callable[[], float] = monotonic
    ) -> None:
        self._seconds, self._say, self._clock = seconds, say, clock
        self._lock = Lock()
        self._known: dict[str, tuple[float, int]] = {}  # text: when it was told, and how often it was since

    def __call__(self, text: str) -> None:
        now, told = self._clock(), []
        with self._lock:
            at, count = self._known.get(text, (-inf, 0))
            self._known[text] = (at, count + 1)
            for known, (since, times) in list(self._known.items()):
                if now - since < self._seconds:
                    continue
                if times:
                    told.append(known if times == 1 else f"{known} ({times:,} times)")
                    self._known[known] = (now, 0)
                else:
                    del self._known[known]
        for line in told:
            self._say(line)


tell_again: Final = Again()
