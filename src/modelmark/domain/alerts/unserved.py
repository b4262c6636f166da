"""Whether workers serve what was released, as the steward can see: a version may be whole and signed, and yet not answer on this
machine as it did where it was registered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmark.domain.alerts.said import Said
from modelmark.domain.workspace import Workspace

_UNSERVED: Final = Said("unserved")


def tell_unserved(workspace: Workspace, worker: str, why: Sequence[str]) -> None:
    """Nothing said: the worker serves all of it. Else to be said again every few seconds."""
    if why:
        _UNSERVED.tell(workspace, worker, why[0])
    else:
        _UNSERVED.end(workspace, worker)


def unserved(workspace: Workspace) -> str | None:
    """One sentence, without its end, while a worker cannot serve a released version; None when all do."""
    why = _UNSERVED.heard(workspace)
    return None if why is None else f"a released version is not served: {why}"
