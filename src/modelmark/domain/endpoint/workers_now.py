"""How many workers answer now, where their number follows the load, as others than their supervisor can see."""

from __future__ import annotations

from typing import Final

from modelmark.domain.alerts.said import Said
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.workspace import Workspace

_WORKERS: Final = Said("workers")


def tell_workers(workspace: Workspace, supervisor: str, now: int, bounds: WorkerBounds) -> None:
    """To be said again every few seconds."""
    _WORKERS.tell(workspace, supervisor, f"{now} of {bounds}")


def end_workers(workspace: Workspace, supervisor: str) -> None:
    _WORKERS.end(workspace, supervisor)


def workers_now(workspace: Workspace) -> str | None:
    """`2 of 1..4`; None where no number follows the load."""
    return _WORKERS.heard(workspace)
