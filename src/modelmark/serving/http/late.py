"""Saying no has a price: beyond so many refusals for load a second, more leave a moment later, and together.

Callers who come back as soon as they hear would else take the time that answers need. Those who ask whether or not they hear
cost no more for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

#: Refusals that may leave at once, and the longest that one is held, in seconds.
AT_ONCE: Final = 200
LONGEST: Final = 0.25
#: How close together those that were held leave, in seconds.
TOGETHER: Final = 0.005


class Waiting(Protocol):
    """Whose next answer is ready."""

    def send(self) -> None: ...


class LateRefusals:
    """Of one worker. a_second: how many may leave at once for good."""

    def __init__(self, loop: asyncio.AbstractEventLoop, a_second: int) -> None:
        self._loop, self._each = loop, 1 / a_second
        self._until = 0.0  # when what was refused so far is within the budget
        self._held: deque[tuple[float, Waiting]] = deque()

    def hold(self, caller: Waiting) -> bool:
        """Whether the caller's refusal leaves later; it is not to be sent now, then."""
        now = self._loop.time()
        self._until = min(max(self._until, now - AT_ONCE * self._each) + self._each, now + LONGEST)
        if self._until <= now:
            return False
        if not self._held:
            self._loop.call_at(self._until, self._let_go)
        self._held.append((self._until, caller))
        return True

    def _let_go(self) -> None:
        held, soon = self._held, self._loop.time() + TOGETHER
        while held and held[0][0] <= soon:
            held.popleft()[1].send()
        if held:
            self._loop.call_at(max(held[0][0], soon), self._let_go)
