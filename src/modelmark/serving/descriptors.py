"""File descriptors: how many connections there may be, so that some are left for everything else."""

from __future__ import annotations

import resource
from typing import Final

#: Left for the journal, metrics, models and their processes, and the event loop itself.
KEPT: Final = 96


def connections(wanted: int) -> int:
    """How many connections this process may hold, at most `wanted`: what its limit on descriptors leaves, raised as far as
    the system lets it be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + KEPT
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - KEPT))
