"""Answers that workers of several machines give again, in Redis. Asked in the thread of a run, never on the event loop.

Nothing depends on it: what does not answer in time, or not at all, is left alone for a moment, and the model is asked. Two commands
are spoken, MGET and SET with an end, so no client library is needed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final
from urllib.parse import unquote, urlsplit

from modelmark.domain.errors import Rejected
from modelmark.serving.telling import tell

#: How long it may take to answer, and how long it is left alone when it does not, in seconds.
PATIENCE: Final = 0.05
ALONE: Final = 5.0
#: How long an answer is kept, in seconds. A version that has left is never asked for again.
LIFE: Final = 3600
_PREFIX: Final = b"modelmark:answer:"
_LONGEST: Final = 1 << 20


class SharedCache:
    """May be asked from any thread; they take turns."""

    def __init__(self, address: str) -> None:
        """address: redis://[:PASSWORD@]HOST[:PORT][/DATABASE]. Raises Rejected (BAD_SETTING)."""
        self._host, self._port, self._greeting = _read(address)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._unread = b""
        self._alone_until = 0.0
        self._told = False

    def get(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is there; nothing where it cannot be asked."""
        if not keys:
            return {}
        found = self._asked(_command(b"MGET", *(_PREFIX + key for key in keys)), 1)
        values = found[0] if found else None
        if not isinstance(values, list) or len(values) != len(keys):
            return {}
        return {key: value for key, value in zip(keys, values, strict=True) if isinstance(value, bytes)}

    def put(self, answers: Mapping[bytes, bytes]) -> None:
        if answers:
            life = b"%d" % LIFE
            commands = [_command(b"SET", _PREFIX + key, value, b"EX", life) for key, value in answers.items()]
            self._asked(b"".join(commands), len(commands))

    def _asked(self, commands: bytes, answers: int) -> list[object]:
        with self._lock:
            if monotonic() < self._alone_until:
                return []
            try:
                connection = self._socket or self._connected()
                connection.sendall(commands)
                found = [self._answer(connection) for _ in range(answers)]
            except (OSError, ValueError) as error:
                self._leave_alone(error)
                return []
            if self._told:
                tell("cache: Redis answers again")
                self._told = False
            return found

    def _connected(self) -> socket.socket:
        """Raises OSError, also where the password is none."""
        self._socket = connection = socket.create_connection((self._host, self._port), PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._unread = b""
        for command in self._greeting:
            connection.sendall(command)
            if self._answer(connection) != b"OK":
                raise OSError("it does not let us in")
        return connection

    def _leave_alone(self, error: Exception) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket, self._alone_until = None, monotonic() + ALONE
        if not self._told:
            tell(f"cache: Redis does not answer ({type(error).__name__}); predictions go on without it")
            self._told = True

    def _answer(self, connection: socket.socket) -> object:
        """Bytes, a list of them and of None, or None; an error is an empty list. Raises OSError and ValueError."""
        kind, rest = (line := self._line(connection))[:1], line[1:]
        if kind in (b"+", b":"):
            return rest
        if kind == b"$":
            size = int(rest)
            if size > _LONGEST:
                raise ValueError("an answer is too large")
            return None if size < 0 else self._exactly(connection, size + 2)[:-2]
        if kind == b"*":
            return [self._answer(connection) for _ in range(min(int(rest), _LONGEST))]
        return []

    def _line(self, connection: socket.socket) -> bytes:
        while b"\r\n" not in self._unread:
            self._read_on(connection)
        line, _, self._unread = self._unread.partition(b"\r\n")
        return line

    def _exactly(self, connection: socket.socket, size: int) -> bytes:
        while len(self._unread) < size:
            self._read_on(connection)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def _read_on(self, connection: socket.socket) -> None:
        data = connection.recv(65_536)
        if not data:
            raise ConnectionError("it hung up")
        self._unread += data


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _read(address: str) -> tuple[str, int, list[bytes]]:
    """(host, port, what is said first). Nothing of the address is repeated: it may hold a password."""
    try:
        found = urlsplit(address)
        host, port, database = found.hostname, found.port or 6379, found.path.strip("/")
        if found.scheme != "redis" or not host or not (database or "0").isdecimal():
            raise ValueError
    except ValueError:
        raise Rejected(
            "MODELMARK_CACHE_REDIS is no address of Redis", code="BAD_SETTING", field="MODELMARK_CACHE_REDIS",
            limit="redis://[:PASSWORD@]HOST[:PORT][/DATABASE]",
        ) from None  # fmt: skip
    greeting = []
    if found.password:
        names = [unquote(found.username).encode()] if found.username else []
        greeting.append(_command(b"AUTH", *names, unquote(found.password).encode()))
    if database and database != "0":
        greeting.append(_command(b"SELECT", database.encode()))
    return host, port, greeting
