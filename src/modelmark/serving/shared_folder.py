"""A folder that the workers of one supervisor share, and no other supervisor's."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelmark.serving.child import is_stopped

LOCK: Final = ".lock"
#: A folder without a lock that nobody has written to for so long, in seconds, is nobody's.
ABANDONED: Final = 60.0


class SharedFolder:
    """Made new for each supervisor, beside those of others that live. Those of the dead go: their locks can be had. So do
    workers of theirs that are stopped: they hold the port, and hear nothing."""

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
        if time.time() - folder.stat().st_mtime > ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)
        return  # else another is just making it, or its workers made it again
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        _kill_stopped(folder)
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _kill_stopped(folder: Path) -> None:
    """Its workers name the folder on their command lines."""
    for path in folder.glob("*.json"):
        with suppress(OSError, ValueError):
            pid = int(path.stem)
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if folder.name.encode() in words and is_stopped(pid):
                os.kill(pid, signal.SIGKILL)
