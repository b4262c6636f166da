"""Whether the journal takes records, as others than its writers can see.

A quota, a limit of the process or a full disk of the journal's folder alone is met by whoever writes, and by nobody else; and what
is refused for it cannot be recorded. So a writer that fails keeps saying so in a file of its own, elsewhere.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace

#: Seconds after which a writer that says nothing any more has ended.
SAID: Final = 30.0
_LONGEST: Final = 200


def tell_journal_fault(workspace: Workspace, writer: str, why: str) -> None:
    """This writer takes no records now. To be said again every few seconds for as long as that is so."""
    path = _path(workspace, writer)
    with suppress(OSError):  # where nothing at all can be written the disk's own fault is told
        path.parent.mkdir(exist_ok=True)
        path.write_text(why, encoding="utf-8")


def end_journal_fault(workspace: Workspace, writer: str) -> None:
    """It takes records again, or ends."""
    with suppress(OSError):
        _path(workspace, writer).unlink(missing_ok=True)


def journal_fault(workspace: Workspace) -> str | None:
    """One sentence, without its end, while a writer cannot write; None when all can."""
    for path in sorted(workspace.runtime.glob("journal-fault-*")):
        try:
            if time.time() - path.stat().st_mtime < SAID:
                why = one_line(path.read_text(encoding="utf-8", errors="replace"))[:_LONGEST] or "no reason was told"
                return (
                    f"the journal takes no records ({why}): predictions are refused (503, JOURNAL_FAILED) until it does"
                )
        except OSError:  # it has just ended
            continue
    return None


def _path(workspace: Workspace, writer: str) -> Path:
    return workspace.runtime / f"journal-fault-{writer}"
