"""What processes of the endpoint say of themselves that nobody else can see: each in a file of its own in `run/`, said again
every few seconds for as long as it is so."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace

#: Seconds after which a process that says nothing any more has ended.
SAID: Final = 30.0
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class Said:
    """about: begins the files' names."""

    about: str

    def tell(self, workspace: Workspace, process: str, why: str) -> None:
        path = self._path(workspace, process)
        with suppress(OSError):  # where nothing at all can be written the disk's own fault is told
            path.parent.mkdir(exist_ok=True)
            path.write_text(why, encoding="utf-8")

    def end(self, workspace: Workspace, process: str) -> None:
        with suppress(OSError):
            self._path(workspace, process).unlink(missing_ok=True)

    def heard(self, workspace: Workspace) -> str | None:
        """What the first process that says anything now says, in one line, empty where it gives no reason; None: nobody does."""
        for path in sorted(workspace.runtime.glob(f"{self.about}-*")):
            with suppress(OSError):  # it has just ended
                if time.time() - path.stat().st_mtime < SAID:
                    return one_line(path.read_text(encoding="utf-8", errors="replace"))[:_LONGEST]
        return None

    def _path(self, workspace: Workspace, process: str) -> Path:
        return workspace.runtime / f"{self.about}-{process}"
