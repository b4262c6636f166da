"""The benches' closed loop has figures to show however slow the server or the machine is."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import _closed_loop


@pytest.fixture
def slow() -> Iterator[int]:
    """The port of a server that answers each request after 0.2 s."""

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                time.sleep(0.2)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("connections", [1, 4])
def test_a_slice_that_ends_before_the_first_answers_waits_for_them(slow: int, connections: int):
    run = _closed_loop.load(slow, [b"x"], connections, 0.01)
    assert len(run.took) >= max(connections, 2)
    assert run.errors == 0
    assert run.seconds >= 0.2
    assert min(run.took) >= 0.2


def test_a_server_that_never_answers_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_closed_loop, "PATIENCE", 0.2)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(RuntimeError, match="0 answers to 1 connections"),
    ):
        _closed_loop.load(server.getsockname()[1], [b"x"], 1, 0.01)
