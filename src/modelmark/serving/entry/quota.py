"""How often a key may ask: a token bucket that all workers of a machine share.

It is one number in a file that each maps into memory: the time at which the bucket will be full again. Two workers that ask in the
same moment may both read it before either writes, so a few requests more than agreed get through; none waits for a lock.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection
from contextlib import suppress
from math import ceil
from pathlib import Path
from time import monotonic
from typing import Final

from modelmark.domain.errors import OverQuota

#: What was not asked for so many seconds may be asked at once.
BURST: Final = 1.0
_LONGEST: Final = 30


class Quota:
    """rate: requests a second."""

    def __init__(self, path: Path, rate: float) -> None:
        """path: shared by the workers; where it cannot be made, each counts alone."""
        self._step, self._rate = 1 / rate, rate
        self._most = max(BURST - self._step / 2, 0.0)  # between two requests, so that no rounding decides
        self._full_at = _shared(path)

    def take(self) -> None:
        """One request. Raises OverQuota, having taken nothing."""
        now, cell = monotonic(), self._full_at
        full_at = cell[0]
        if (
            not now < full_at <= now + BURST + 2 * self._step
        ):  # longer than it can take: of before the machine started anew
            full_at = now
        if full_at - now > self._most:
            wait = min(max(ceil(full_at - now - self._most), 1), _LONGEST)
            raise OverQuota(f"this key may ask {self._rate:g} times a second", retry_after=wait)
        cell[0] = full_at + self._step

    @staticmethod
    def forget(folder: Path, kept: Collection[str]) -> None:
        """What is kept of other keys."""
        with suppress(OSError):
            for path in folder.iterdir():
                if path.name not in kept:
                    path.unlink(missing_ok=True)


def _shared(path: Path) -> memoryview[float]:
    """One float64."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, 8)
            return memoryview(mmap.mmap(descriptor, 8)).cast("d")
        finally:
            os.close(descriptor)
    except OSError:
        return memoryview(bytearray(8)).cast("d")
