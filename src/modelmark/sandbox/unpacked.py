"""Files of a model for the process that opens them: a folder that goes with that process, or with the next start.

Whoever made a folder holds its lock. Where a worker was killed nobody does, and the next one that makes a folder here removes it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "modelmark-model-"
#: Not yet locked, and empty.
_MADE: Final = ".modelmark-made-"


class Unpacked:
    """A folder with files in it, until `remove`."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Raises OSError when the disk is full."""
        remove_left()
        made = Path(tempfile.mkdtemp(prefix=_MADE))
        self._lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path = made.with_name(PREFIX + made.name.removeprefix(_MADE))
            made.rename(self.path)  # whoever looks for what was left never sees it without its lock
            for name, data in files.items():
                path = self.path / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        except OSError:
            self.remove()
            raise

    def remove(self) -> None:
        """May be said twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def remove_left() -> int:
    """Folders of ours whose makers were killed. How many they were."""
    count = 0
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                found = os.fstat(lock)
                if found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path)
                    count += 1
            finally:
                os.close(lock)
    return count
