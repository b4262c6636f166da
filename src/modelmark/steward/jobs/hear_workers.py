"""Telling of released versions that workers cannot serve on their machine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from modelmark.domain.alerts.unserved import unserved
from modelmark.domain.workspace import Workspace
from modelmark.steward.job import FaultOwner, JobContext, JobFault

#: What the alert is about.
UNSERVED: Final = "unserved"


@dataclass(frozen=True, slots=True, kw_only=True)
class HearWorkers:
    name: ClassVar = "workers"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    workspace: Workspace

    def run(self, context: JobContext) -> bool:
        if said := unserved(self.workspace):
            context.report(JobFault(subject=UNSERVED, sentence=said))
        else:
            context.well(UNSERVED)
        return True
