"""What the child does to itself before it touches an artifact. Runs in the child only, standard library only.

Walls, each of which holds without the others: the kernel's (namespaces, a list of system calls, Landlock, resource
limits), Python's (an audit hook that knows what is allowed and ends the process on anything else, and a closed list of
names for pickles), and the folder's (output files are opened beforehand, so nothing is opened for writing afterwards).

What this does not stop: burning the granted time and memory, and lying in the answers. docs/sandbox.md says more.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Collection
from typing import Any, Final

from modelmark.registry import landlock, libraries, pickle_names, seccomp, syscalls

#: The child's exit codes. The parent reads what happened from the files, never from text on a pipe.
DONE: Final = 0
REFUSED: Final = 76  # the child says why in its result
ENDED: Final = 77  # the audit hook ended it
NO_WALL: Final = 78  # the kernel gives no filter of system calls, and nothing was opened

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

#: What such a library does besides, once it is loaded; which of its functions it may look up is `Library.symbols`.
_BY_CTYPES: Final = frozenset(
    {"ctypes.cdata", "ctypes.cdata/buffer", "ctypes.create_string_buffer", "ctypes.addressof"}
)

#: What somebody's own code may do besides: look for its files, which are all there is to find.
_BY_CODE: Final = frozenset(
    {"glob.glob", "glob.glob/2", "pathlib.Path.glob", "pathlib.Path.rglob", "os.walk", "mmap.__new__"}
)

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def arm(
    *, folder: str | None, memory_bytes: int, cpu_seconds: int | None, file_bytes: int, statm: int, report: int,
    native: Collection[str] = (), modules: Collection[str] = (),
) -> tuple[int, bool]:  # fmt: skip
    """Narrow this process for good: from here on it may read an artifact. folder: what else it may read. cpu_seconds: None
    for one that goes on for as long as it is asked. statm, report: descriptors that are open. native: what was loaded for it,
    `libraries` that reach their native part by ctypes among it. modules: code that came with it.

    Returns the version of Landlock that holds (0 for none) and whether the system calls are filtered.
    """
    landlock_version = landlock.read_only([*([folder] if folder else []), *readable()])
    limit(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds, file_bytes=file_bytes, statm=statm)
    filtered = seccomp.install(syscalls.NARROW)
    watch(report, native, modules)
    return landlock_version, filtered


def readable() -> tuple[str, ...]:
    """What libraries still read after arming: their own Python files, and data of the C library. No one's home."""
    import sysconfig

    places = sysconfig.get_paths()
    libraries = (places[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    elsewhere = (path for path in sys.path if path.endswith(("site-packages", "dist-packages")))  # as Debian keeps them
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return (*dict.fromkeys((*libraries, *elsewhere)), package, "/usr/lib/locale", "/usr/share/zoneinfo", "/dev/null")


def limit(*, memory_bytes: int, cpu_seconds: int | None, file_bytes: int, statm: int | None = None) -> None:
    """Hard limits of this process. memory_bytes counts what comes on top of what is mapped now.

    statm: /proc/self/statm, opened before /proc went.
    """
    mapped = _mapped_bytes(statm)
    for kind, value in (
        (resource.RLIMIT_AS, mapped + memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        if value is None:
            continue
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _mapped_bytes(statm: int | None) -> int:
    if sys.platform != "linux":
        return 0
    if statm is None:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    return int(os.pread(statm, 200, 0).split()[0]) * resource.getpagesize()


def watch(report: int, native: Collection[str] = (), modules: Collection[str] = ()) -> None:
    """Arm the audit hook for the rest of this process. report: an open file; it takes the event's name."""
    sys.addaudithook(_hook(report, [name for name in native if name in libraries.KNOWN], frozenset(modules)))


def _hook(report: int, native: Collection[str], modules: frozenset[str]) -> Any:
    # Bound here so that an artifact which rebinds module globals changes nothing for the hook.
    end, write, writes = os._exit, os.write, _WRITES
    allowed = ALLOWED | (_BY_CTYPES if native else frozenset()) | (_BY_CODE if modules else frozenset())
    symbols = tuple(prefix for name in native for prefix in libraries.KNOWN[name].symbols)
    allows, is_of, text = pickle_names.allows, pickle_names.is_of, str

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in allowed:
            return
        if event == "open":
            mode, flags = args[1], args[2]
            read_only = not (flags & writes if type(flags) is int else True)
            if read_only and (mode is None or not set(mode) & set("wax+")):
                return
        elif event == "ctypes.dlsym" and symbols:
            if type(args[1]) is text and args[1].startswith(symbols):
                return
        elif event == "pickle.find_class":
            module, name = args[0], args[1]
            if allows(module, name) or (type(module) is text and is_of(modules, module, name)):
                return
        try:
            write(report, text(event)[:60].encode("utf-8", "replace"))
        finally:
            end(ENDED)

    return hook
