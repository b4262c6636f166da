"""What memory a worker keeps between requests, and what goes back to the system when many connections have gone."""

from __future__ import annotations

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Final

#: Seconds between two looks, and how many fewer connections than at the last are worth a walk over the heap.
EVERY: Final = 5.0
FEWER: Final = 200

#: Of the C library's heap, so many bytes stay for the next request; a larger piece than the second is got from the system
#: and given back each time. As it comes, a page at a time for every request, memory costs more than parsing does.
KEPT: Final = 16 * 1024 * 1024
LARGEST: Final = 1024 * 1024
#: As in glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


def settle() -> None:
    """What is loaded stays: the collector does not walk over it again and again. What requests need stays too, where the C
    library can keep it (glibc)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_TRIM_THRESHOLD, KEPT)
        option(_MMAP_THRESHOLD, LARGEST)


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
