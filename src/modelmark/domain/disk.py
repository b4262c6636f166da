"""What is said of a disk that fills up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from modelmark.domain.workspace import Workspace

LEAST: Final = 64 * 2**20  # bytes; with fewer it is told
RESERVE: Final = 4 * 2**20  # bytes; kept back, and given back when fewer are left, so that the alert can be written


def free_bytes(workspace: Workspace) -> int:
    """Of the workspace's disk, or of its journal's where that is another and has less. What is not there yet will lie on its
    parent's."""
    return min(shutil.disk_usage(_there(path.absolute())).free for path in (workspace.root, workspace.wal))


def _there(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def disk_fault(free: int, *, least: int = LEAST, reserve: int = RESERVE) -> str | None:
    """One sentence, without its end; None when there is room.

    >>> disk_fault(2**20)
    "the workspace's disk is full: predictions are refused (503, JOURNAL_FAILED) until there is room"
    >>> disk_fault(2**30) is None
    True
    """
    if free < reserve:
        return "the workspace's disk is full: predictions are refused (503, JOURNAL_FAILED) until there is room"
    if free < least:
        return (
            f"fewer than {least >> 20:,} MiB are free on the workspace's disk: once it is full, predictions are refused"
        )
    return None
