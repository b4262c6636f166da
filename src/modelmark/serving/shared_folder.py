"""A folder that the workers of one supervisor share, and no other supervisor's."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

LOCK: Final = ".lock"


class SharedFolder:
    """Made new for each supervisor, beside those of others that live. Those of the dead go: their locks can be had."""

    def __init__(self, parent: Path) -> None:
        parent.mkdir(parents=True, exist_ok=True)
        for other in parent.iterdir():
            _remove_if_dead(other)
        self.path, self._lock = _made(parent)

    def close(self) -> None:
        os.close(self._lock)
        shutil.rmtree(self.path, ignore_errors=True)


def _made(parent: Path) -> tuple[Path, int]:
    """Another that starts at the same moment may take a folder without its lock for a dead one's: then once more."""
    while True:
        path = Path(tempfile.mkdtemp(prefix="of-", dir=parent))
        try:
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (path / LOCK).exists():
            return path, lock
        os.close(lock)


def _remove_if_dead(folder: Path) -> None:
    if not folder.is_dir():
        folder.unlink(missing_ok=True)  # a file of an earlier version
        return
    try:
        lock = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return  # another is just making it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)
