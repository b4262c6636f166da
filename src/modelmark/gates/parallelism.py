"""How many gates may run side by side: as many as there are cores, and as fit into memory."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Final

from modelmark.domain.errors import ModelmarkError
from modelmark.gates.case import Case

_LIBRARIES: Final = 400 << 20  # bytes that a gate's libraries and its models take, whatever the table
_COPIES: Final = 3  # of both tables, encoded as numbers, while a gate works
_CGROUP: Final = Path("/sys/fs/cgroup")


def side_by_side(case: Case) -> int:
    """At least one: a gate alone must do with what there is."""
    try:
        tables = sum(int(frame.memory_usage(deep=True).sum()) for frame in (case.train, case.holdout))
    except ModelmarkError:
        return 1  # each gate will say itself why there are no tables
    return fitting(tables, available(), os.cpu_count() or 1)


def fitting(tables: int, free: int, cores: int) -> int:
    """How many gates over tables of that many bytes fit into that many free bytes.

    >>> fitting(100 << 20, 8 << 30, 4), fitting(2 << 30, 8 << 30, 4), fitting(4 << 30, 2 << 30, 4)
    (4, 1, 1)
    """
    return max(1, min(cores, free // (_LIBRARIES + _COPIES * tables)))


def available() -> int:
    """Bytes this process may still take: of the machine, of its control group, of its own limit."""
    limits = [_machine(), *_control_group()]
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    if own != resource.RLIM_INFINITY:
        limits.append(own)
    return min(limits)


def _machine() -> int:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return int(pages * size)
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _control_group() -> list[int]:
    most, used = _CGROUP / "memory.max", _CGROUP / "memory.current"
    if not most.exists() or most.read_text().strip() == "max":
        return []
    return [int(most.read_text()) - int(used.read_text())]
