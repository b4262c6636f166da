"""Memory that a job needed goes back to the system when it has ended.

Each thread of a library has a heap of its own, Arrow has another and Delta Lake a third, and they stay as large as they
ever were. With one heap for threads and Arrow, whatever is free can be given back; Delta Lake's keeps nothing that is free.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

_WORTH: Final = 4 * 1024 * 1024  # bytes more than after the last walk
_ARENA_MAX: Final = -8  # M_ARENA_MAX of glibc's mallopt
#: Read by libraries as they are loaded. Whoever has set one already has decided.
_SET: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0,narenas:1",  # deltalake's jemalloc
}
_LIBC: Final = ctypes.CDLL(None)
_trim: Final = getattr(_LIBC, "malloc_trim", None)  # glibc's; elsewhere everything stays as it is


def use_one_heap() -> None:
    """Before those are imported, and before there are threads."""
    if _trim is not None:
        _LIBC.mallopt(_ARENA_MAX, 1)
        for name, value in _SET.items():
            os.environ.setdefault(name, value)


class Memory:
    """What this process holds."""

    def __init__(self) -> None:
        self._rested = 0

    def give_back(self) -> None:
        """After whatever may have left some. It looks before it walks over the heap, which takes milliseconds."""
        if _trim is not None and resident() > self._rested + _WORTH:
            _trim(0)
            self._rested = resident()


def resident() -> int:
    """Bytes in memory, the libraries' code among them; 0 where nothing tells."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
