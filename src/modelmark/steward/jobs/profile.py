"""Counting what compaction appended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.steward.job import FaultOwner, JobContext, JobFault
from modelmark.steward.profiler import CHECKPOINT, Profiler


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Goes on until nothing is behind."""

    name: ClassVar = "profiles"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = CHECKPOINT
    owner: ClassVar = FaultOwner.VERSIONS
    profiler: Profiler

    def run(self, context: JobContext) -> bool:
        while True:
            part = self.profiler.step()
            if part.lost:
                sentence = f"{part.lost} files were gone before they were profiled"
                context.report(JobFault(subject=self.name, sentence=sentence))
            if not part.behind:
                return True
