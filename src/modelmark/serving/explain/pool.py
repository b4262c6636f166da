"""One process of explanations a worker, and the line before it: short, remembered, and refused at once when it is full."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from threading import Lock, Timer
from time import perf_counter
from typing import Final

import msgspec

from modelmark.domain import errors
from modelmark.domain.errors import ModelmarkError, Overloaded, TimedOut
from modelmark.sandbox import frames
from modelmark.sandbox.environment import environment
from modelmark.seal.keys import Verifier
from modelmark.seal.public import packed
from modelmark.serving.answers import Answer
from modelmark.serving.explain.messages import Ask, Told
from modelmark.serving.telling import tell_again

#: How many may wait, and how long one explanation may take, in seconds; the first of a process also loads its libraries.
WAITING: Final = 16
PATIENCE: Final = 10.0
START: Final = 30.0
#: Seconds without an explanation after which the process ends: what it has loaded is much, and loaded again within two.
IDLE: Final = 300.0
#: Explanations that are remembered.
REMEMBERED: Final = 1024

#: Where an explanation goes: its JSON, or why there is none. Called in the pool's thread, or at once where it is remembered.
Done = Callable[[bytes | ModelmarkError], None]


class Explanations:
    """root: the workspace. verifier: of its key."""

    def __init__(self, root: Path, verifier: Callable[[], Verifier]) -> None:
        self._root, self._verifier = str(root), verifier
        self._lock = Lock()
        self._waiting = 0
        self._seconds = 1.0  # of one, smoothed
        self._known: OrderedDict[bytes, bytes] = OrderedDict()
        self._child: _Child | None = None
        self._made = 0

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1, thread_name_prefix="explanations")

    def require_room(self) -> None:
        """Raises Overloaded when as many wait as may."""
        with self._lock:
            if self._waiting >= WAITING:
                after = min(30, 1 + int(self._waiting * self._seconds))
                raise Overloaded("too many explanations are waiting", retry_after=after)

    def submit(self, answer: Answer, row: int, method: str, done: Done) -> None:
        """Explain one row of an answer that a model gave. Raises Overloaded, having taken nothing."""
        ask = self._asked(answer, row, method)
        digest = msgspec.msgpack.encode(ask)
        with self._lock:
            known = self._known.get(digest)
            if known is not None:
                self._known.move_to_end(digest)
        if known is not None:
            done(known)
            return
        self.require_room()
        with self._lock:
            self._waiting += 1
        self._thread.submit(self._explain, ask, digest, done)

    def _asked(self, answer: Answer, row: int, method: str) -> Ask:
        rows, width = answer.rows, answer.version.guard.width
        k, m = len(rows.numbers) // rows.count, len(rows.texts) // rows.count
        return Ask(
            self._root, packed(self._verifier()), str(answer.version.id), rows.numbers[row * k : (row + 1) * k],
            rows.texts[row * m : (row + 1) * m], answer.scores[row * width : (row + 1) * width], method,
        )  # fmt: skip

    def _explain(self, ask: Ask, digest: bytes, done: Done) -> None:
        started = perf_counter()
        try:
            found = self._told(ask)
        except Exception as error:  # noqa: BLE001  # whoever waits hears of it
            tell_again(f"an explanation failed: {type(error).__name__}: {error}")
            found = ModelmarkError("the explanation could not be made")
        with self._lock:
            self._waiting -= 1
            self._seconds += 0.2 * (perf_counter() - started - self._seconds)
            if isinstance(found, bytes):
                self._known[digest] = found
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        self._made += 1
        rest = Timer(IDLE, self._after_a_while, (self._made,))
        rest.daemon = True
        rest.start()
        done(found)

    def _after_a_while(self, made: int) -> None:
        with contextlib.suppress(RuntimeError):  # this process ends, and its child with it
            self._thread.submit(self._rest, made)

    def _rest(self, made: int) -> None:
        """In the pool's thread: nobody has asked since."""
        if made == self._made:
            self.close()

    def _told(self, ask: Ask) -> bytes | ModelmarkError:
        child, fresh = self._child, self._child is None
        try:
            child = self._child = child or _Child()
            told = child.ask(ask, START if fresh else PATIENCE)
        except OSError as error:
            self.close()
            if isinstance(error, TimeoutError):
                return TimedOut("the explanation took too long", limit=f"{PATIENCE:g} s", hint="ask for method lime")
            return ModelmarkError(
                "the process that explains has ended", code="CRASHED", hint="ask again: it is replaced"
            )
        if told.error is None:
            return told.explanation
        facts = dict(told.error)
        kind = getattr(errors, told.kind, ModelmarkError)
        return _error(kind if kind is not Overloaded else ModelmarkError, facts)

    def close(self) -> None:
        """End the process; the next explanation starts another."""
        child, self._child = self._child, None
        if child is not None:
            child.end()


def _error(kind: type[ModelmarkError], facts: dict[str, object]) -> ModelmarkError:
    message = str(facts.pop("message"))
    known = {name: value for name, value in facts.items() if name in ("code", "field", "row", "limit", "hint")}
    return kind(message, **known)  # type: ignore[arg-type]


class _Child:
    """The worker's end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-P", "-m", "modelmark.serving.explain.child", str(number)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=2, pass_fds=(number,), env={**environment(), **_ONE_THREAD}
            )

    def ask(self, what: Ask, seconds: float) -> Told:
        """Raises OSError: TimeoutError when it takes too long, others when the process is gone."""
        self._socket.settimeout(seconds)
        self._socket.sendall(frames.packed(what))
        return msgspec.msgpack.decode(frames.receive(self._socket), type=Told)

    def end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()


_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_DISABLE_JIT": "1"}
