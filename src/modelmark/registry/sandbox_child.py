"""What the child does to itself before it touches an artifact. Runs in the child only, standard library only.

Three walls, each of which holds without the others: the kernel's (no network namespace, a seccomp filter, resource
limits), Python's (an audit hook that knows what is allowed and ends the process on anything else), and the folder's
(output files are opened beforehand, so nothing is ever opened for writing afterwards).

What this does not stop: reading files this user may read, and burning the granted time and memory. Nothing that was
read can leave, except through the output files, which the parent treats as untrusted.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import Any, Final

#: The child's exit codes. The parent reads what happened from the files, never from text on a pipe.
DONE: Final = 0
REFUSED: Final = 76  # the child says why in its result
ENDED: Final = 77  # the audit hook ended it

#: Audit events that loading and running a model raises in good faith. Everything else ends the process.
ALLOWED: Final = frozenset(
    {
        "import",
        "compile",
        "exec",
        "marshal.load",
        "marshal.loads",
        "code.__new__",
        "object.__getattr__",
        "object.__setattr__",
        "object.__delattr__",
        "function.__new__",
        "sys._getframe",
        "sys.unraisablehook",
        "sys.excepthook",
        "sys.set_asyncgen_hooks_firstiter",
        "array.__new__",
        "builtins.id",
        "os.listdir",
        "os.scandir",
        "os.putenv",
        "os.unsetenv",
        "time.sleep",
        "_thread.start_new_thread",
        "_thread.start_joinable_thread",
    }
)

#: Names no honest model needs from these modules: refused by name when a pickle asks, before they could run.
_FORBIDDEN_MODULES: Final = frozenset(
    [
        "os",
        "posix",
        "nt",
        "subprocess",
        "_posixsubprocess",
        "pty",
        "socket",
        "_socket",
        "shutil",
        "sys",
        "ctypes",
        "_ctypes",
        "importlib",
        "imp",
        "runpy",
        "code",
        "codeop",
        "pdb",
        "bdb",
        "timeit",
        "profile",
        "cProfile",
        "trace",
        "webbrowser",
        "multiprocessing",
        "concurrent",
        "asyncio",
        "http",
        "urllib",
        "ftplib",
        "smtplib",
        "telnetlib",
        "xmlrpc",
        "signal",
        "resource",
        "gc",
        "inspect",
        "marshal",
        "mmap",
        "fcntl",
        "tempfile",
        "pathlib",
        "io",
        "_io",
        "linecache",
        "pickle",
        "_pickle",
        "pip",
        "ensurepip",
        "venv",
        "test",
        "idlelib",
        "lib2to3",
        "distutils",
        "setuptools",
        "pkgutil",
        "zipimport",
        "threading",
        "_thread",
        "sysconfig",
    ]
)
_FORBIDDEN_BUILTINS: Final = frozenset(
    [
        "eval",
        "exec",
        "compile",
        "open",
        "__import__",
        "input",
        "breakpoint",
        "globals",
        "locals",
        "vars",
        "delattr",
        "setattr",
        "memoryview",
        "exit",
        "quit",
    ]
)

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def cut_network() -> bool:
    """Leave the machine's network for an empty one. Must run before the first thread. False: the kernel says no."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_net = 0x10000000, 0x40000000
    return bool(libc.unshare(new_net) == 0 or libc.unshare(new_user | new_net) == 0)


def die_with_parent() -> None:
    """No orphan: the kernel kills this process when its parent ends. Also: no core dumps, no new privileges."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE


def limit(*, memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Hard limits of this process. memory_bytes counts what comes on top of what is mapped now."""
    mapped = _mapped_bytes()
    for kind, value in (
        (resource.RLIMIT_AS, mapped + memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _mapped_bytes() -> int:
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def watch(report: int) -> None:
    """Arm the audit hook for the rest of this process. report: an open file; it takes the event's name."""
    sys.addaudithook(_hook(report))


def _hook(report: int) -> Any:
    # Bound here so that an artifact which rebinds module globals changes nothing for the hook.
    end, write, allowed, writes = os._exit, os.write, ALLOWED, _WRITES
    modules, builtins, text = _FORBIDDEN_MODULES, _FORBIDDEN_BUILTINS, str

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in allowed:
            return
        if event == "open":
            mode, flags = args[1], args[2]
            read_only = not (flags & writes if type(flags) is int else True)
            if read_only and (mode is None or not set(mode) & set("wax+")):
                return
        elif event == "pickle.find_class":
            module, name = args[0], args[1]
            if module.split(".")[0] not in modules and not (
                module in ("builtins", "__builtin__") and name.split(".")[0] in builtins
            ):
                return
            event = f"pickle.find_class {module}.{name}"
        try:
            write(report, text(event)[:200].encode("utf-8", "replace"))
        finally:
            end(ENDED)

    return hook
