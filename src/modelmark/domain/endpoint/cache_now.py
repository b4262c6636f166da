"""Whether workers do without their cache, as others than they themselves can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmark.domain.alerts.said import Said
from modelmark.domain.workspace import Workspace

_OFF: Final = Said("cache-off")


def tell_cache_off(workspace: Workspace, worker: str, why: Sequence[str]) -> None:
    """Nothing said: the worker caches what it should. Else to be said again every few seconds."""
    if why:
        _OFF.tell(workspace, worker, why[0])
    else:
        _OFF.end(workspace, worker)


def cache_off(workspace: Workspace) -> str | None:
    """One sentence, without its end, while a worker does without; None where none does."""
    return _OFF.heard(workspace)
