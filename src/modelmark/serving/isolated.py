"""A flavour in a process of its own: what its code leaks, breaks or hangs is that process's, never the worker's.

The child (`python -m modelmark.serving.isolated SOCKET`) builds the flavour from the same verified bytes and answers run
after run. It ends with the worker. Frames on the socket: length (uint32, little-endian), then msgpack.
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from modelmark.domain.version import Signature
from modelmark.serving import flavours

_LENGTH: Final = struct.Struct("<I")
#: How long a child may take to import and build its flavour, in seconds.
START: Final = 60.0

Scores = NDArray[np.float64]


class _Build(msgspec.Struct, array_like=True):
    flavour: str
    files: list[tuple[str, bytes]]
    signature: Signature
    numeric: list[str]
    textual: list[str]


class _Run(msgspec.Struct, array_like=True):
    rows: int
    numbers: bytes
    texts: list[str]


class _Told(msgspec.Struct, array_like=True):
    """scores: float64, of that shape. error: what was raised instead; empty when nothing was."""

    shape: list[int]
    scores: bytes
    error: str = ""


class ChildFailed(Exception):
    """The process of a model raised, ended, or was ended because a run took too long."""


class Isolated:
    """Implements `flavours.Flavour` over a child process; a child that ended is replaced at the next run."""

    runs = flavours.Runs.PROCESS

    def __init__(
        self, model: flavours.Model, *, numeric: Sequence[str], textual: Sequence[str], patience: float
    ) -> None:
        """patience: seconds for one run, after which its process is ended. Raises ChildFailed when it cannot be built."""
        files = list(model.files.items())
        self._build = _Build(model.flavour, files, model.signature, list(numeric), list(textual))
        self._width, self._patience = len(numeric), patience
        self._one_at_a_time = threading.Lock()
        self._child: _Child | None = None
        self._start()

    def run(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        """Raises ChildFailed."""
        asked = _Run(len(numbers), np.ascontiguousarray(numbers, "<f8").tobytes(), list(texts))
        with self._one_at_a_time:
            child = self._child or self._start()
            try:
                told = child.ask(asked, self._patience)
            except OSError as error:
                child.end()
                self._child = None
                raise ChildFailed(f"the model's process did not answer: {error or 'it ended'}") from None
        if told.error:
            raise ChildFailed(told.error)
        return np.frombuffer(told.scores, "<f8").reshape(told.shape).copy()

    def _start(self) -> _Child:
        child = _Child()
        weakref.finalize(self, child.end)
        try:
            told = child.ask(self._build, START)
        except OSError:
            told = _Told([], b"", "the model's process ended before it was ready")
        if told.error:
            child.end()
            raise ChildFailed(told.error)
        self._child = child
        return child


class _Child:
    """The parent's end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", __name__, str(number)]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2, pass_fds=(number,))

    def ask(self, what: _Build | _Run, seconds: float) -> _Told:
        """Raises OSError: TimeoutError when it takes too long, others when the child is gone."""
        self._socket.settimeout(seconds)
        _send(self._socket, what)
        return msgspec.msgpack.decode(_receive(self._socket), type=_Told)

    def end(self) -> None:
        """At once; may be said twice."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def _send(end: socket.socket, what: Any) -> None:
    data = msgspec.msgpack.encode(what)
    end.sendall(_LENGTH.pack(len(data)) + data)


def _receive(end: socket.socket) -> bytes:
    """Raises ConnectionResetError when the other end is closed."""
    (length,) = _LENGTH.unpack(_exactly(end, _LENGTH.size))
    return _exactly(end, length)


def _exactly(end: socket.socket, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        piece = end.recv(min(count - len(found), 1 << 20))
        if not piece:
            raise ConnectionResetError
        found += piece
    return bytes(found)


# In the child


def _end_with_parent() -> None:
    """The parent holds the other end of standard input."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def _built(data: bytes) -> tuple[flavours.Flavour, int]:
    build = msgspec.msgpack.decode(data, type=_Build)
    files: Mapping[str, bytes] = dict(build.files)
    kind = flavours.kind(build.flavour)
    return kind(files, build.signature, numeric=build.numeric, textual=build.textual), len(build.numeric)


def _told(flavour: flavours.Flavour, width: int, data: bytes) -> _Told:
    asked = msgspec.msgpack.decode(data, type=_Run)
    numbers = np.frombuffer(asked.numbers, "<f8").reshape(asked.rows, width)
    scores = np.ascontiguousarray(flavour.run(numbers, asked.texts), "<f8")
    return _Told(list(scores.shape), scores.tobytes())


def serve(end: socket.socket) -> None:
    """Build what the first frame says, then answer runs until the other end closes."""
    try:
        flavour, width = _built(_receive(end))
    except Exception as error:  # noqa: BLE001  # whatever a flavour raises
        _send(end, _Told([], b"", f"{type(error).__name__}: {error}"))
        return
    _send(end, _Told([], b""))
    while True:
        try:
            data = _receive(end)
        except ConnectionResetError:
            return
        try:
            told = _told(flavour, width, data)
        except Exception as error:  # noqa: BLE001  # whatever a model raises
            told = _Told([], b"", f"{type(error).__name__}: {error}")
        _send(end, told)


if __name__ == "__main__":
    _end_with_parent()
    serve(socket.socket(fileno=int(sys.argv[1])))
