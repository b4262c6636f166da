"""Telling of a disk that fills up and of a journal that takes no records, and keeping a little of the disk for the moment when
it is full."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from modelmark.domain.alerts.recording import journal_fault
from modelmark.domain.disk import LEAST, RESERVE, disk_fault, free_bytes
from modelmark.domain.workspace import Workspace
from modelmark.steward.job import FaultOwner, JobContext, JobFault

#: What the alert is about while predictions are refused although the disk has room.
RECORDS: Final = "records"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskRoom:
    """Its file `run/reserve` is filled with nothing."""

    name: ClassVar = "disk"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    workspace: Workspace
    least: int = LEAST
    reserve: int = RESERVE

    def run(self, context: JobContext) -> bool:
        free = free_bytes(self.workspace)
        path = self.workspace.runtime / "reserve"
        if free < self.reserve:
            path.unlink(missing_ok=True)
        if said := disk_fault(free, least=self.least, reserve=self.reserve):
            context.report(JobFault(subject=self.name, sentence=said))
            return True
        context.well(self.name)
        if said := journal_fault(self.workspace):
            context.report(JobFault(subject=RECORDS, sentence=said))
        else:
            context.well(RECORDS)
        if not path.exists():
            self._keep(path)
        return True

    def _keep(self, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self.reserve)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(descriptor)
