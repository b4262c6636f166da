"""Runs the one child that may open an artifact, and turns whatever becomes of it into facts."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from modelmark.domain.errors import ModelmarkError, NotPermitted, Rejected, TimedOut
from modelmark.registry import answers, libraries, sandbox_child
from modelmark.registry.answers import Answer, Scanned, Walls
from modelmark.registry.convert_child import GO
from modelmark.registry.words import words
from modelmark.sandbox.environment import environment

Verb = Literal["scan", "inspect", "convert", "score"]

_TOLD_BYTES: Final = 4096
_UNSAFE_HINT: Final = "do not open this file; find out where it comes from"
#: What an audit hook may have seen, by CPython's names (docs.python.org/3/library/audit_events.html).
_EVENTS: Final = words(
    "open os.system os.exec os.fork os.forkpty os.posix_spawn os.spawn os.kill os.killpg os.remove os.rename os.mkdir"
    " os.rmdir os.chmod os.chown os.link os.symlink os.truncate os.chdir os.utime os.setxattr os.walk os.fwalk"
    " subprocess.Popen pty.spawn socket.__new__ socket.connect socket.bind socket.getaddrinfo socket.gethostbyname"
    " ctypes.dlopen ctypes.dlsym ctypes.dlsym/handle ctypes.call_function ctypes.cdata ctypes.string_at mmap.__new__"
    " pickle.find_class sys.addaudithook sys.setprofile sys.settrace sys._current_frames shutil.rmtree shutil.copyfile"
    " shutil.move tempfile.mkstemp tempfile.mkdtemp signal.pthread_kill resource.setrlimit resource.prlimit gc.get_objects"
    " gc.get_referrers gc.get_referents fcntl.fcntl fcntl.ioctl cpython.run_command cpython.PyInterpreterState_New"
    " cpython.run_file builtins.input urllib.Request webbrowser.open code.__new__ import"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one child may use. memory_bytes comes on top of what the libraries need. source_bytes: of the file itself."""

    memory_bytes: int = 4 << 30
    seconds: float = 300.0
    file_bytes: int = 2 << 30
    source_bytes: int = 2 << 30  # no ONNX file can be larger


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """What a child left behind. answer: of a bounded form, its texts not yet to be shown. folder: its output files."""

    answer: Answer | Scanned
    walls: Walls
    folder: Path

    def bytes_of(self, name: str, most: int) -> bytes:
        """An output file. Raises Rejected (CONVERSION_FAILED) when it is larger than `most` bytes or no plain file."""
        descriptor = os.open(self.folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size > most:
                raise Rejected(
                    f"the converter left more in {name} than there can be",
                    code="CONVERSION_FAILED",
                    limit=f"{most:,} bytes",
                )
            return file.read(most)


@contextmanager
def run(
    verb: Verb,
    request: Mapping[str, Any],
    files: Mapping[str, Path],
    limits: Limits,
    *,
    before: Callable[[], Collection[str]] = frozenset,
    imports: Callable[[], Collection[str]] = frozenset,
) -> Iterator[ChildResult]:
    """Run the child in a fresh folder that holds copies of `files`; the folder goes when the block ends.

    before: called while the child loads its libraries and before it may look at anything; what it raises, this raises.
    It answers the texts that may be shown when the child repeats them. imports: asked after it, modules that the child is to load
    beside its libraries.
    Raises Rejected with code UNSAFE_ARTIFACT (names what it tried), OUT_OF_MEMORY, CRASHED, or the child's own reason;
    TimedOut with code TOO_SLOW; NotPermitted with code NO_SANDBOX where the kernel filters no system calls.
    """
    with tempfile.TemporaryDirectory(prefix="modelmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        for target, source in files.items():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            _share(source, folder / target)
        granted = {
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": int(limits.seconds) + 1,
            "file_bytes": limits.file_bytes,
        }
        (folder / "request.json").write_text(json.dumps({**request, **granted}), encoding="utf-8")
        code, walls, vocabulary = _spawn(verb, folder, limits, before, imports)
        answer = _answer(code, folder, limits, Scanned if verb == "scan" else Answer, vocabulary)
        if walls is None:
            raise Rejected("the converter did not say how it is held", code="CRASHED")
        yield ChildResult(answer=answer, walls=walls, folder=folder)


def _share(source: Path, target: Path) -> None:
    """The same bytes under another name; nobody writes to either."""
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)


def _spawn(
    verb: Verb,
    folder: Path,
    limits: Limits,
    before: Callable[[], Collection[str]],
    imports: Callable[[], Collection[str]],
) -> tuple[int, Walls | None, Collection[str]]:
    """The exit code, negative for a signal; the child and all it may have started are gone when this returns."""
    # -s -P and our bare environment are what -I gives, and leave the hash seed to us: same model, same bytes.
    command = [sys.executable, "-s", "-P", "-B", "-m", "modelmark.registry.convert_child", verb]
    child = subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
    )
    try:
        vocabulary = before()
        ends = time.monotonic() + limits.seconds
        assert child.stdin is not None and child.stdout is not None  # noqa: PT018
        try:
            names = [*libraries.named(vocabulary), *imports()]
            child.stdin.write(b" ".join([GO, *(name.encode() for name in names)]) + b"\n")
            child.stdin.close()
        except BrokenPipeError:
            pass  # it ended already; its exit code says how
        walls = _told(child.stdout.fileno(), ends)
        return child.wait(max(0.0, ends - time.monotonic())), walls, vocabulary
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"the model was not read and converted within {limits.seconds:g} s",
            code="TOO_SLOW",
            limit=f"{limits.seconds:g} s",
        ) from None
    finally:
        _end(child)


def _told(pipe: int, ends: float) -> Walls | None:
    """The line a child says before it looks at the artifact: the first on the pipe, of a bounded length."""
    poll, line = select.poll(), b""
    poll.register(pipe, select.POLLIN)
    while b"\n" not in line and len(line) < _TOLD_BYTES and poll.poll(max(0.0, ends - time.monotonic()) * 1000):
        got = os.read(pipe, _TOLD_BYTES - len(line))
        if not got:
            break
        line += got
    return answers.decoded(line.partition(b"\n")[0], Walls)


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself and left nobody behind
        return
    finally:
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()


def _answer(
    code: int, folder: Path, limits: Limits, form: type[Answer | Scanned], vocabulary: Collection[str]
) -> Answer | Scanned:
    limit = f"{limits.memory_bytes >> 20} MiB"
    if code == sandbox_child.DONE:
        found = _result(folder, form)
        if found is not None and not found.reason:
            return found
    raise _ending(code, folder, limits) or _refused(code, folder, form, vocabulary, limit)


def _ending(code: int, folder: Path, limits: Limits) -> ModelmarkError | None:
    """What the way it ended says by itself."""
    if code == sandbox_child.ENDED:
        event = (folder / "ended.txt").read_bytes()[:100].decode("utf-8", "replace")
        tried = f": {event}" if event in _EVENTS else ""
        return Rejected(
            f"opening the model tried something no model may do{tried}", code="UNSAFE_ARTIFACT", hint=_UNSAFE_HINT
        )
    if code == sandbox_child.NO_WALL:
        return NotPermitted(
            "this kernel does not filter system calls, so no model file is opened here",
            code="NO_SANDBOX",
            hint="register where seccomp is on; a container may have switched it off",
        )
    if code == -signal.SIGSYS:
        return Rejected(
            "opening the model made a system call no model may make", code="UNSAFE_ARTIFACT", hint=_UNSAFE_HINT
        )
    if code == -signal.SIGXCPU:
        return TimedOut("the model used up its processor time", code="TOO_SLOW", limit=f"{limits.seconds:g} s")
    return None


def _refused(
    code: int, folder: Path, form: type[Answer | Scanned], vocabulary: Collection[str], limit: str
) -> ModelmarkError:
    found = _result(folder, form)
    if code == -signal.SIGKILL or (found is not None and found.reason == "out_of_memory"):
        return Rejected("the model needs more memory than the sandbox grants", code="OUT_OF_MEMORY", limit=limit)
    if code == sandbox_child.REFUSED and found is not None and found.reason:
        return answers.refusal(found, vocabulary)
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return Rejected(f"the converter crashed ({how})", code="CRASHED", hint="its own report was not believed")


def _result(folder: Path, form: type[Answer | Scanned]) -> Answer | Scanned | None:
    path = folder / "result.json"
    if not path.is_file() or not 0 < path.stat().st_size <= answers.RESULT_BYTES:
        return None
    return answers.decoded(path.read_bytes(), form)
