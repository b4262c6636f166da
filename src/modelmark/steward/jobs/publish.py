"""Publishing again what came between an act and its snapshot: a full disk, a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.steward.job import FaultOwner, JobContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """republish: writes the last snapshot where it is not the published one; nothing where it is."""

    name: ClassVar = "snapshot"
    interval: ClassVar = timedelta(seconds=5)
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    republish: Callable[[], object]

    def run(self, context: JobContext) -> bool:
        self.republish()
        return True
