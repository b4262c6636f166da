"""Taking a model file in: opened once, copied from that one descriptor, never read whole into memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing, Rejected, TooLarge

_STEP: Final = 1 << 20
_SPARSE: Final = 64 << 20  # smaller files may have holes


def take(source: Path, target: Path, most: int) -> None:
    """Copy `source` to `target`, readable by us alone. What is judged, opened and digested afterwards is the copy.

    most: bytes. Raises Missing (NO_MODEL); TooLarge; Rejected with NOT_A_FILE for a pipe or a device, SPARSE_FILE for a
    large file that is mostly holes, SOURCE_CHANGED when it changes while it is read.
    """
    descriptor = _open(source)
    try:
        before = os.fstat(descriptor)
        _require_plain(descriptor, before, source, most)
        with open(target, "xb", opener=_private) as copy:
            size = 0
            while block := os.read(descriptor, _STEP):
                size += len(block)
                if size > most:
                    raise _too_large(source, most)
                copy.write(block)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (size, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise Rejected(
            f"{source.name} changed while it was read", code="SOURCE_CHANGED", field="model.source", hint="try again"
        )


def _open(source: Path) -> int:
    """A descriptor; a pipe that nobody writes to does not hold us up."""
    try:
        return os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Missing(f"there is no model file {source}", code="NO_MODEL", field="model.source") from None
    except OSError as error:
        raise Rejected(
            f"{source.name} cannot be opened: {error.strerror}", code="NOT_A_FILE", field="model.source"
        ) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _require_plain(descriptor: int, found: os.stat_result, source: Path, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Rejected(f"{source.name} is no plain file", code="NOT_A_FILE", field="model.source")
    if found.st_size > most:
        raise _too_large(source, most)
    if found.st_size > _SPARSE and found.st_blocks * 512 < found.st_size // 2 and _has_hole(descriptor, found.st_size):
        raise Rejected(
            f"{source.name} is mostly a hole: {found.st_blocks * 512:,} of {found.st_size:,} bytes are there",
            code="SPARSE_FILE",
            field="model.source",
            hint="save the model again",
        )


def _has_hole(descriptor: int, size: int) -> bool:
    """A file system that compresses stores fewer blocks too, but reports no hole."""
    hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return hole < size


def _too_large(source: Path, most: int) -> TooLarge:
    return TooLarge(
        f"{source.name} is larger than a model may be", code="TOO_LARGE", field="model.source", limit=f"{most:,} bytes"
    )
