"""Writing again what came between an act and its snapshot or checkpoint: a full disk, a crash."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.steward.job import FaultOwner, JobContext


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """catch_up: writes the last snapshot and checkpoint where they are not there; nothing where they are."""

    name: ClassVar = "snapshot"
    interval: ClassVar = timedelta(seconds=5)
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    catch_up: Callable[[], object]

    def run(self, context: JobContext) -> bool:
        self.catch_up()
        return True
