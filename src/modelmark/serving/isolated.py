"""A flavour in a process of its own: what its code leaks, breaks or hangs is that process's, never the worker's.

The child builds the flavour from the same verified bytes and answers run after run (`sandbox.frames`). It ends with the
worker. Its program is ours (`python -m modelmark.serving.isolated SOCKET`), or the flavour's own, which may have walls.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.sandbox import frames
from modelmark.sandbox.environment import environment
from modelmark.sandbox.frames import Build, Run, Told
from modelmark.sandbox.parent import end_with_parent
from modelmark.sandbox.unpacked import Unpacked
from modelmark.serving import flavours

#: How long a child may take to import and build its flavour, in seconds.
START: Final = 60.0
#: A child that has grown by so many bytes since it was built is replaced between two runs; looked at so often, in seconds.
GROWTH: Final = 512 << 20
LOOK: Final = 0.1
PAGE: Final = os.sysconf("SC_PAGE_SIZE")
#: A child that ended so often within so many seconds is not started for as long again: each start costs more than it gives.
STRIKES: Final = 3
QUARANTINE: Final = 120.0

Scores = NDArray[np.float64]


class ChildFailed(Exception):
    """The process of a model raised, ended, or was ended because a run took too long."""


class Quarantined(ChildFailed):
    """The process of a model ended too often; it is not started for a while."""


class Isolated:
    """Implements `flavours.Flavour` over a child process; a child that ended is replaced at the next run."""

    runs = flavours.Runs.PROCESS

    def __init__(
        self, model: flavours.Model, *, numeric: Sequence[str], textual: Sequence[str], patience: float, program: str = "",
        unpacked: bool = False, clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """patience: seconds for one run, after which its process is ended. program: the module that is the child [default:
        ours]. unpacked: it finds the model's files in a folder. Raises ChildFailed when it cannot be built."""
        sent, self._unpacked = ([], model.files) if unpacked else (list(model.files.items()), {})
        self._build = Build(model.flavour, sent, model.signature, list(numeric), list(textual))
        self._patience, self._program, self._clock = patience, program or __name__, clock
        self._one_at_a_time = threading.Lock()
        self._child: _Child | None = None
        self._next: threading.Thread | None = None  # builds the one that follows
        self._ended: deque[float] = deque(maxlen=STRIKES)
        self._start()

    def run(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        """Raises ChildFailed; Quarantined when nothing was tried."""
        asked = Run(len(numbers), np.ascontiguousarray(numbers, "<f8").tobytes(), list(texts))
        with self._one_at_a_time:
            child = self._child or self._start()
            try:
                told = child.ask(asked, self._patience)
            except OSError as error:
                self._strike(child)
                raise ChildFailed(f"the model's process did not answer: {error or 'it ended'}") from None
            if self._next is None and child.has_grown(self._clock()):
                self._next = threading.Thread(target=self._replace, args=(child,), name="model-renewed", daemon=True)
                self._next.start()
        if told.error:
            raise ChildFailed(told.error)
        return np.frombuffer(told.scores, "<f8").reshape(told.shape).copy()

    def _strike(self, child: _Child) -> None:
        child.end()
        self._child = None
        self._ended.append(self._clock())

    def _start(self) -> _Child:
        """Raises ChildFailed; its lock is held, or nobody else knows of this one yet."""
        now = self._clock()
        if len(self._ended) == STRIKES and now - self._ended[0] < QUARANTINE:
            left = QUARANTINE - (now - self._ended[0])
            raise Quarantined(f"the model's process ended {STRIKES} times; it is tried again in {left:.0f} s")
        child, error = self._fresh()
        if error:
            self._strike(child)
            raise ChildFailed(error)
        self._child = child
        return child

    def _fresh(self) -> tuple[_Child, str]:
        """A new one, and why it cannot answer; empty where it can."""
        child = _Child(self._program, self._unpacked)
        weakref.finalize(self, child.end)
        try:
            told = child.ask(self._build, START)
        except OSError:
            return child, "the model's process ended before it was ready"
        return child, told.error

    def _replace(self, grown: _Child) -> None:
        """What leaks answers until another one can: then it has nothing under way, and ends."""
        try:
            child, error = self._fresh()
        except OSError:
            child, error = None, "no process can be started"
        with self._one_at_a_time:
            if child is not None and not error and self._child is grown:
                grown.end()
                self._child = child
            else:
                grown.look_again(self._clock() + QUARANTINE)
                if child is not None:
                    child.end()
            self._next = None


class _Child:
    """The parent's end."""

    def __init__(self, program: str, unpacked: Mapping[str, bytes]) -> None:
        """unpacked: files that it finds in a folder of its own, which goes when it ends."""
        self._folder = Unpacked(unpacked) if unpacked else None
        self._socket, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [
                sys.executable,
                "-P",
                "-m",
                program,
                str(number),
                *([str(self._folder.path)] if self._folder else []),
            ]
            self._size, self._look_at = 0, 0.0
            bare = None if program == __name__ else environment()  # ours may need what a plugin is found by
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, pass_fds=(number,), env=bare)

    def ask(self, what: Build | Run, seconds: float) -> Told:
        """Raises OSError: TimeoutError when it takes too long, others when the child is gone or says nothing sensible."""
        self._socket.settimeout(seconds)
        self._socket.sendall(frames.packed(what))
        try:
            return msgspec.msgpack.decode(frames.receive(self._socket), type=Told)
        except msgspec.DecodeError as error:
            raise ConnectionAbortedError(str(error)) from None

    def has_grown(self, now: float) -> bool:
        """Whether it takes `GROWTH` more than after its first run; False while it is too early to look again."""
        if now < self._look_at:
            return False
        self._look_at, size = now + LOOK, self._resident()
        self._size = self._size or size
        return size - self._size > GROWTH

    def look_again(self, at: float) -> None:
        """Not before that."""
        self._look_at = at

    def _resident(self) -> int:
        """Bytes; 0 where the system does not say."""
        try:
            with open(f"/proc/{self._process.pid}/statm", "rb") as file:
                return int(file.read().split()[1]) * PAGE
        except OSError:
            return 0

    def end(self) -> None:
        """At once; may be said twice."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._folder is not None:
            self._folder.remove()


# In the child


def _built(data: bytes) -> tuple[flavours.Flavour, int]:
    build = msgspec.msgpack.decode(data, type=Build)
    files: Mapping[str, bytes] = dict(build.files)
    kind = flavours.kind(build.flavour)
    return kind(files, build.signature, numeric=build.numeric, textual=build.textual), len(build.numeric)


def _told(flavour: flavours.Flavour, width: int, data: bytes) -> Told:
    asked = msgspec.msgpack.decode(data, type=Run)
    numbers = np.frombuffer(asked.numbers, "<f8").reshape(asked.rows, width)
    scores = np.ascontiguousarray(flavour.run(numbers, asked.texts), "<f8")
    return Told(list(scores.shape), scores.tobytes())


def serve(end: int) -> None:
    """Build what the first frame says, then answer runs until the other end closes. end: a socket's descriptor."""
    try:
        flavour, width = _built(frames.read(end))
    except Exception as error:  # noqa: BLE001  # whatever a flavour raises
        frames.write(end, Told([], b"", f"{type(error).__name__}: {error}"))
        return
    frames.write(end, Told([], b""))
    while True:
        try:
            data = frames.read(end)
        except ConnectionResetError:
            return
        try:
            told = _told(flavour, width, data)
        except MemoryError:
            return  # it has used up what it may have: another process begins anew
        except Exception as error:  # noqa: BLE001  # whatever a model raises
            told = Told([], b"", f"{type(error).__name__}: {error}")
        frames.write(end, told)


if __name__ == "__main__":
    end_with_parent()
    serve(int(sys.argv[1]))
