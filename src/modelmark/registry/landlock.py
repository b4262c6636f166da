"""Landlock: the kernel lets this process read what is named and nothing else on any disk. Runs in the child only.

Source: linux/landlock.h. Each version of the interface knows more rights; we ask for all that the kernel knows.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from typing import Final

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every machine
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_BENEATH: Final = 1
#: Version of the interface -> rights over files it brought: 1 the first thirteen, then refer, truncate, device ioctls.
_RIGHTS: Final = ((1, (1 << 13) - 1), (2, 1 << 13), (3, 1 << 14), (5, 1 << 15))


def version() -> int:
    """The kernel's version of the interface; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE, 0, 0, 1)))


def read_only(paths: Iterable[str]) -> int:
    """From now on this thread and its later ones may open `paths` and what is beneath them, for reading; nothing else.

    TCP is closed too since version 4, signals and abstract sockets to others since 6. Paths that do not exist are left
    out. Returns the version that holds, 0 where the kernel has none.
    """
    found = version()
    if not found:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    files = sum(rights for since, rights in _RIGHTS if since <= found)
    network, scopes = (3 if found >= 4 else 0), (3 if found >= 6 else 0)
    size = 24 if found >= 6 else 16 if found >= 4 else 8
    ruleset = libc.syscall(_CREATE, struct.pack("@QQQ", files, network, scopes), size, 0)
    if ruleset < 0:
        return 0
    for path in paths:
        _allow(libc, ruleset, path)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    held = libc.syscall(_RESTRICT, ruleset, 0) == 0
    os.close(ruleset)
    return found if held else 0


def _allow(libc: ctypes.CDLL, ruleset: int, path: str) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # a folder that this machine does not have needs no right
        return
    rights = _READ_FILE | (_READ_FOLDER if os.path.isdir(path) else 0)
    libc.syscall(_ADD, ruleset, _BENEATH, struct.pack("=Qi", rights, place), 0)
    os.close(place)
