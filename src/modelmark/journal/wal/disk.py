"""Bytes and names that reach the disk whole."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(descriptor: int, data: bytes, *, at: int) -> None:
    """Append all of it to a file that ends at byte `at`, or nothing: what a failed write left is cut off again.

    Raises the OSError that cut it short. A full disk takes part of a write before it says so.
    """
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except BaseException:
        os.ftruncate(descriptor, at)
        raise


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
