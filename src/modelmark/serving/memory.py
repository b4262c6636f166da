"""Memory that many connections needed goes back to the system when they have gone."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

#: Seconds between two looks, and how many fewer connections than at the last are worth a walk over the heap.
EVERY: Final = 5.0
FEWER: Final = 200


async def give_back(connections: Callable[[], int]) -> None:
    """Runs until cancelled. Only where the C library can (glibc); the walk takes milliseconds, in a thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    most = 0
    while trim is not None:
        await asyncio.sleep(EVERY)
        now = connections()
        most = max(most, now)
        if most - now >= FEWER:
            most = now
            await asyncio.to_thread(trim, 0)
