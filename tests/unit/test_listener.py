"""Connections are taken in as there is room, and a client that takes nothing is left by the kernel too."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

import loops
from modelmark.serving.http import listening
from modelmark.serving.http.listener import Listener
from modelmark.serving.http.listening import bind
from modelmark.serving.metrics import Metrics


class Kept(asyncio.Protocol):
    """Writes what it is told to, and says when the connection has gone."""

    def __init__(self, lives: list[Kept], data: bytes = b"") -> None:
        self.lives, self.data = lives, data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.lives.append(self)
        transport.write(self.data)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lives.remove(self)


async def eventually(check: Callable[[], object], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        await asyncio.sleep(0.01)


def test_who_finds_no_room_waits_and_comes_in_when_there_is_some() -> None:
    async def work() -> None:
        lives: list[Kept] = []
        listener = Listener(
            bind("127.0.0.1", 0), lambda: Kept(lives, b"hello"), Metrics(None), asyncio.get_running_loop(),
            has_room=lambda coming: len(lives) + coming < 2,
        )  # fmt: skip
        listener.start()
        callers = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(5)]
        await eventually(lambda: len(lives) == 2)
        await asyncio.sleep(0.3)
        assert len(lives) == 2
        for caller in callers:
            await eventually(lambda: lives)
            caller.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(caller, 5) == b"hello", "nobody was turned away"
            caller.close()
        port = listener.port
        listener.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    loops.run(work())


def test_a_client_that_takes_nothing_is_left_though_the_kernel_has_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [
        (level, option, 500 if option == socket.TCP_USER_TIMEOUT else value)
        for level, option, value in listening.INHERITED
    ]
    monkeypatch.setattr(listening, "INHERITED", quick)

    async def work() -> None:
        lives: list[Kept] = []
        listener = Listener(
            bind("127.0.0.1", 0), lambda: Kept(lives, b"x" * 60_000), Metrics(None), asyncio.get_running_loop()
        )
        listener.start()
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.connect(("127.0.0.1", listener.port))
            await eventually(lambda: len(lives) == 1)
            await eventually(lambda: not lives, 15)
        listener.close()

    loops.run(work())


def test_what_the_kernel_holds_of_a_connection_is_bounded() -> None:
    async def work() -> None:
        taken: list[int] = []

        class Seen(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                sock = transport.get_extra_info("socket")
                taken.append(sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
                taken.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
                taken.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

        listener = Listener(bind("127.0.0.1", 0), Seen, Metrics(None), asyncio.get_running_loop())
        listener.start()
        with socket.create_connection(("127.0.0.1", listener.port)):
            await eventually(lambda: len(taken) == 3)
        listener.close()
        assert taken == [128 * 1024, 10_000, 1]

    loops.run(work())
