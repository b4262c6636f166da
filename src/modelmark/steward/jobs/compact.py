"""From the write-ahead log into the tables."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from modelmark.domain.errors import NotYet
from modelmark.journal.tables.compact import Compactor
from modelmark.steward.job import FaultOwner, JobContext, JobFault

PASSES: Final = 4  # at most in one step


@dataclass(frozen=True, slots=True, kw_only=True)
class Compact:
    """Damage that it finds is an alert; where each writer stands is in the journal's own receipts."""

    name: ClassVar = "compaction"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    compactor: Compactor

    def run(self, context: JobContext) -> bool:
        for _ in range(PASSES):
            try:
                passed = self.compactor.run()
            except NotYet as error:
                if error.code != "COMPACTION_RUNS":
                    raise
                return True  # somebody else does the work
            for damage in passed.damaged:
                context.report(JobFault(subject=str(damage.field or "journal"), sentence=damage.message))
            if not passed.more:
                return True
        return True
