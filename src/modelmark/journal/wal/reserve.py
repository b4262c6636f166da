"""A file descriptor kept for the moment when a process has none left."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE})


class Reserve:
    """One descriptor of a folder, spent on a file that must be opened and taken back from one that is closed. So a writer
    that opens a file for each that it closes never goes without."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self._spare = os.dup(self._folder)

    def open(self, path: Path, flags: int, mode: int) -> int:
        """As `os.open`; the reserve is spent when there is no other descriptor."""
        try:
            return os.open(path, flags, mode)
        except OSError as error:
            if error.errno not in _NONE_LEFT or self._spare < 0:
                raise
        spare, self._spare = self._spare, -1
        os.close(spare)
        return os.open(path, flags, mode)

    def close_file(self, descriptor: int) -> None:
        """As `os.close`; its place becomes the reserve when that is spent."""
        if self._spare >= 0:
            os.close(descriptor)
            return
        os.dup2(self._folder, descriptor, inheritable=False)
        self._spare = descriptor

    def sync_folder(self) -> None:
        """Make the folder's entries durable."""
        os.fsync(self._folder)

    def close(self) -> None:
        os.close(self._folder)
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1
