"""What a server's processes keep of each request: resident memory, block of requests by block."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from modelmark.gates.load.stress import Target

_BLOCKS: Final = 12
_BLOCK: Final = 300  # requests
_WARM: Final = 2  # blocks that only warm up
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident(processes: Sequence[int]) -> int | None:
    """Bytes of resident memory of all processes together; None where /proc does not tell, or one of them is gone."""
    total = 0
    for process in processes:
        try:
            total += int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * _PAGE
        except (OSError, IndexError, ValueError):
            return None
    return total if processes else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """KiB a request: mean over blocks with its 95% t-interval. n: requests. start, end: bytes."""

    mean: float
    low: float
    high: float
    n: int
    start: int
    end: int


def growth(target: Target, processes: Callable[[], Sequence[int]]) -> Growth | None:
    """Eight requests at a time, in blocks of at most half a second. None where memory cannot be seen or a process was replaced."""
    bodies, first = target.bodies(), tuple(processes())
    sizes, counts = [resident(first)], [0]
    if sizes[0] is None:
        return None
    for _ in range(_BLOCKS):
        heard = target.send(bodies, [0.0] * _BLOCK, most_open=8)
        sizes.append(resident(first))
        counts.append(sum(not h.failure for h in heard))
    known = [size for size in sizes if size is not None]
    if len(known) < len(sizes) or tuple(processes()) != first or min(counts[1:]) == 0:
        return None
    return growth_of(known[_WARM:], counts[_WARM + 1 :])


def growth_of(sizes: Sequence[int], counts: Sequence[int]) -> Growth:
    """sizes: bytes before the first block and after each. counts: requests of each block.

    A single jump (an arena, a cache) makes the interval wide; only memory that grows in block after block is sure.
    """
    from scipy.stats import t

    each = np.diff(np.array(sizes, dtype=np.float64)) / 1024 / np.array(counts)
    reach = float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)
    mean = float(each.mean())
    return Growth(
        mean=mean, low=mean - reach, high=mean + reach, n=int(sum(counts)), start=int(sizes[0]), end=int(sizes[-1])
    )
