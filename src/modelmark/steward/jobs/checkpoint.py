"""A signed checkpoint of everything, now and then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.domain.errors import Missing
from modelmark.steward.job import FaultOwner, JobContext


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeCheckpoint:
    """make: signs it and copies it to where it is kept; what it raises is told. interval: how often."""

    name: ClassVar = "checkpoint"
    checkpoint: ClassVar = "checkpoint"
    owner: ClassVar = FaultOwner.VERSIONS
    make: Callable[[], object]
    interval: timedelta

    def run(self, context: JobContext) -> bool:
        try:
            self.make()
        except Missing as error:
            if error.code != "NOTHING_YET":
                raise
            return False
        return True
