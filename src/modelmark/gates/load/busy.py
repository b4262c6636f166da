"""How much of this machine other programs used meanwhile: then a slow answer may be theirs, not the server's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Beyond this share of all processors, a late answer is no evidence against the server.
MOST: Final = 0.25


@dataclass(frozen=True, slots=True)
class Reading:
    """Clock ticks since the start: of all processors together, of those that were busy, and of ours that ran."""

    total: int
    busy: int
    ours: int


def reading(processes: Sequence[int]) -> Reading | None:
    """processes: the server's; this one is added. None where /proc does not tell, or one of them is gone."""
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text("ascii").split("\n", 1)[0].split()[1:9]]
        ours = sum(_own(process) for process in {os.getpid(), *processes})
    except (OSError, ValueError, IndexError):
        return None
    idle = ticks[3] + ticks[4]
    return Reading(sum(ticks), sum(ticks) - idle, ours)


def _own(process: int) -> int:
    """utime and stime; the command before them may hold blanks and brackets. Source: proc_pid_stat(5)."""
    words = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def others(before: Reading | None, after: Reading | None) -> float:
    """The share of all processors' time that neither the server nor its sender used; 0 where nobody can tell."""
    if before is None or after is None or after.total <= before.total:
        return 0.0
    spent = (after.busy - before.busy) - (after.ours - before.ours)
    return max(0.0, spent / (after.total - before.total))
