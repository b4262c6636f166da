"""A workspace that is moved away under what runs on it: noticed at once, and none is made at the old place."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing

LOOK: Final = 0.3  # seconds between two looks


@contextmanager
def still_there(root: Path) -> Iterator[None]:
    """Around a process that serves or watches. When the folder goes, or another lies there, the process gets SIGTERM, and
    then Missing (WORKSPACE_MOVED) is raised.

    A process that another one of ours started makes no workspace (Missing: NO_WORKSPACE).
    """
    if os.environ.get("MODELMARK_SUPERVISED") and not root.is_dir():
        raise Missing(f"there is no workspace {root}", code="NO_WORKSPACE", field="--workspace")
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    known, over, moved = _place(root), threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(LOOK):
            if _place(root) != known:
                moved.set()
                os.kill(os.getpid(), signal.SIGTERM)
                return

    watcher = threading.Thread(target=look, name="workspace", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
    if moved.is_set():
        raise Missing(
            f"the workspace {root} was moved or replaced while this ran",
            code="WORKSPACE_MOVED",
            field="--workspace",
            hint="start again with --workspace where it is now",
        )


def _place(root: Path) -> tuple[int, int] | None:
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
