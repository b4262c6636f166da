"""Replacing a file in one step, safely on disk."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelmark.domain.errors import Tampered


def replace_file(path: Path, data: bytes) -> None:
    """Readers see the old file or the new one, whole, power cut or not. No two writers share a scratch file, and one that
    fails leaves none."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with scratch.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def keep_newest(path: Path, data: bytes, number_of: Callable[[bytes], int]) -> bool:
    """Replace a numbered file in one step: readers see the old one or the new one, whole, power cut or not.

    Writers take turns, and none replaces a newer one: False where one at least as new is there already. number_of: raises
    Tampered for what is not believed; such a file is replaced, and such data is never written.
    """
    number = number_of(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    with turn(path):
        if _number(path, number_of) >= number:
            return False
        replace_file(path, data)
    return True


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """One writer at a time, of any process or thread; the kernel gives the turn back when a process dies."""
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(_lock(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def between_turns(path: Path) -> Iterator[None]:
    """For readers, who need no right to write there: nobody has a turn meanwhile."""
    try:
        descriptor = os.open(_lock(path), os.O_RDONLY)
    except FileNotFoundError:  # nobody ever had one
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def taken(path: Path) -> bool:
    """Somebody has the turn now."""
    return held(_lock(path))


def held(lock: Path) -> bool:
    """Whether a process has this file locked for itself. Writes nothing; nobody has one that is not there."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _number(path: Path, number_of: Callable[[bytes], int]) -> int:
    try:
        return number_of(path.read_bytes())
    except (FileNotFoundError, Tampered):
        return -1
