"""Whether the journal takes records, as others than its writers can see.

A quota, a limit of the process or a full disk of the journal's folder alone is met by whoever writes, and by nobody else; and what
is refused for it cannot be recorded. So a writer that fails keeps saying so elsewhere.
"""

from __future__ import annotations

from typing import Final

from modelmark.domain.alerts.said import Said
from modelmark.domain.workspace import Workspace

_FAULT: Final = Said("journal-fault")


def tell_journal_fault(workspace: Workspace, writer: str, why: str) -> None:
    """This writer takes no records now. To be said again every few seconds for as long as that is so."""
    _FAULT.tell(workspace, writer, why)


def end_journal_fault(workspace: Workspace, writer: str) -> None:
    """It takes records again, or ends."""
    _FAULT.end(workspace, writer)


def journal_fault(workspace: Workspace) -> str | None:
    """One sentence, without its end, while a writer cannot write; None when all can."""
    why = _FAULT.heard(workspace)
    if why is None:
        return None
    return (
        f"the journal takes no records ({why or 'no reason was told'}): predictions are refused (503, JOURNAL_FAILED) until it "
        "does"
    )
