"""How many workers answer: one number, or bounds between which it follows the load."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import Rejected

MOST: Final = 256


@dataclass(frozen=True, slots=True)
class WorkerBounds:
    least: int = 1
    most: int = 1

    @classmethod
    def read(cls, text: str) -> WorkerBounds:
        """Of `3`, `1..4` or `auto`: from one to a worker for each processor that is ours. Raises Rejected (BAD_WORKERS).

        >>> WorkerBounds.read("2"), WorkerBounds.read("1..4")
        (WorkerBounds(least=2, most=2), WorkerBounds(least=1, most=4))
        """
        if text.strip() == "auto":
            return cls(1, min(len(os.sched_getaffinity(0)), MOST))
        found = re.fullmatch(r"([0-9]{1,3})(?:\.\.([0-9]{1,3}))?", text.strip())
        least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= least <= most <= MOST:
            raise Rejected(
                "the number of workers is of another form", code="BAD_WORKERS", field="workers",
                limit=f"1 to {MOST}, bounds such as 1..4, or auto",
            )  # fmt: skip
        return cls(least, most)

    @property
    def follows(self) -> bool:
        """The number follows the load."""
        return self.most > self.least

    def __str__(self) -> str:
        return f"{self.least}..{self.most}" if self.follows else str(self.least)


ONE: Final = WorkerBounds()
