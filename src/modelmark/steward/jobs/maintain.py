"""Keeping the tables in few, large files, and removing what no longer belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from modelmark.domain.errors import NotYet
from modelmark.journal.tables.compact import Compactor
from modelmark.steward.job import FaultOwner, JobContext, JobFault
from modelmark.steward.profiler import Profiler


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintain:
    """Only once every file is profiled, since files that were rewritten go away an hour later."""

    name: ClassVar = "maintenance"
    interval: ClassVar = timedelta(minutes=1)
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    compactor: Compactor
    profiler: Profiler

    def run(self, context: JobContext) -> bool:
        if self.profiler.behind:
            return False
        try:
            damaged = self.compactor.maintain()
        except NotYet as error:
            if error.code != "COMPACTION_RUNS":
                raise
            return True  # somebody else does the work
        for damage in damaged:
            context.report(JobFault(subject=str(damage.field or "journal"), sentence=damage.message))
        return True
