"""A closed loop over loopback: a connection sends its next request when it has its answer."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

#: Seconds after the end of a load within which every connection has had its first answer, however busy the machine.
PATIENCE: Final = 30.0


@dataclass
class Loop:
    """took: seconds of each answer. errors: answers that are not 200."""

    seconds: float = 0.0
    took: list[float] = field(default_factory=list)
    errors: int = 0

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took) / self.seconds


def request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def whole(answer: bytes) -> bool:
    """Whether head and body have arrived."""
    head, found, body = answer.partition(b"\r\n\r\n")
    at = head.lower().find(b"content-length: ")
    return bool(found) and at >= 0 and len(body) >= int(head[at + 16 :].partition(b"\r\n")[0])


def ask(port: int, message: bytes) -> bytes:
    """One answer's body."""
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(message)
        answer = b""
        while not whole(answer):
            data = s.recv(65536)
            if not data:
                raise RuntimeError(f"the server closed the connection after {answer[:200]!r}")
            answer += data
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"refused: {answer[:2000]!r}")
    return answer.partition(b"\r\n\r\n")[2]


def load(port: int, messages: Sequence[bytes], connections: int, seconds: float) -> Loop:
    """Each connection sends all messages in turn, over and over, and begins with another one. Lasts `seconds`, or until there
    are as many answers as connections, and at least two. Raises RuntimeError when that takes too long."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    turn: dict[int, int] = {}
    for number in range(connections):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[s.fileno()], turn[s.fileno()] = s, number * 7
        poll.register(s.fileno(), select.EPOLLIN)
    found, parts, many, clock = Loop(), dict[int, bytes](), len(messages), time.perf_counter
    begin = clock()
    for number, s in sockets.items():
        sent[number] = clock()
        s.sendall(messages[turn[number] % many])
    end = begin + seconds
    while (now := clock()) < end or len(found.took) < max(connections, 2):
        if now > end + PATIENCE:
            raise RuntimeError(f"{len(found.took)} answers to {connections} connections in {now - begin:.0f} s")
        for number, _ in poll.poll(0.5):
            s = sockets[number]
            data = s.recv(262144)
            if not data:
                raise RuntimeError("the server closed a connection")
            answer = parts.pop(number, b"") + data
            if not whole(answer):
                parts[number] = answer
                continue
            now = clock()
            found.errors += not answer.startswith(b"HTTP/1.1 200")
            found.took.append(now - sent[number])
            sent[number] = now
            turn[number] += 1
            s.sendall(messages[turn[number] % many])
    found.seconds = clock() - begin
    for s in sockets.values():
        s.close()
    return found
