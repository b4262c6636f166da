"""Telling of a disk that fills up, and keeping a little of it for the moment when it is full."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from modelmark.domain.workspace import Workspace
from modelmark.steward.job import FaultOwner, JobContext, JobFault

LEAST: Final = 64 * 2**20  # bytes; with fewer it is told
RESERVE: Final = 4 * 2**20  # bytes; given back when fewer are left, so that the alert can be written


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
        free = shutil.disk_usage(self.workspace.root).free
        path = self.workspace.runtime / "reserve"
        if free < self.reserve:
            path.unlink(missing_ok=True)
            said = "the workspace's disk is full: predictions are refused (503, JOURNAL_FAILED) until there is room"
            context.report(JobFault(subject=self.name, sentence=said))
        elif free < self.least:
            said = f"fewer than {self.least >> 20:,} MiB are free on the workspace's disk: once it is full, predictions are refused"
            context.report(JobFault(subject=self.name, sentence=said))
        elif not path.exists():
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
