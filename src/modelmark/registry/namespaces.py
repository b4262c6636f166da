"""A world of its own for the child: no network, no other process, no /proc. Runs in the child only, before any thread.

Source: namespaces(7), pid_namespaces(7). The kernel, or a container around us, may refuse; then the child goes on
without, and says so.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_USER, _MOUNTS, _IPC, _PROCESSES, _NETWORK = 0x10000000, 0x00020000, 0x08000000, 0x20000000, 0x40000000
_PRIVATE, _RECURSIVE, _READ_ONLY_MOUNT = 1 << 18, 1 << 14, 1
#: From most to least: a user namespace also takes root's power over other people's files away.
_TRIES: Final = (
    _USER | _NETWORK | _PROCESSES | _MOUNTS | _IPC,
    _NETWORK | _PROCESSES | _MOUNTS | _IPC,
    _USER | _NETWORK,
    _NETWORK,
)


def enter() -> frozenset[str]:
    """Leave the machine's network, processes and /proc behind, as far as the kernel lets us: the names of what went.

    Returns in a process that sees only itself; the one that called waits for it and ends as it does.
    """
    if sys.platform != "linux":
        return frozenset()
    libc = ctypes.CDLL(None, use_errno=True)
    got = next((flags for flags in _TRIES if libc.unshare(flags) == 0), 0)
    left = {"network"} if got & _NETWORK else set()
    if got & _PROCESSES:
        _become_first()
        left.add("processes")
        if _hide(libc, b"/proc"):
            left.add("/proc")
    return frozenset(left)


def cut_network() -> bool:
    """Leave only the machine's network for an empty one. False: the kernel says no."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_NETWORK) == 0 or libc.unshare(_USER | _NETWORK) == 0)


def die_with_parent() -> None:
    """No orphan: the kernel kills this process when its parent ends. Also: no core dumps, no new privileges."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    no_new_privileges()


def no_new_privileges() -> None:
    """Also: no core dumps. For a child of a thread that may end before it: the kernel would take that for its parent."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def _become_first() -> None:
    """Fork: only children of a process that left its process namespace are in the new one."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(read)
        _end_like(child)
    os.close(write)
    die_with_parent()
    os.set_blocking(read, False)
    try:
        if os.read(read, 1) == b"":  # the parent ended before the kernel knew that we end with it
            os._exit(1)
    except BlockingIOError:
        pass
    os.close(read)


def _end_like(child: int) -> None:
    for descriptor in (0, 1):
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        ended_by = os.WTERMSIG(status)
        if ended_by not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _hide(libc: ctypes.CDLL, path: bytes) -> bool:
    """Put an empty folder over `path`, for this mount namespace only."""
    if libc.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None) != 0:
        return False
    return bool(libc.mount(b"tmpfs", path, b"tmpfs", _READ_ONLY_MOUNT, b"size=4k") == 0)
