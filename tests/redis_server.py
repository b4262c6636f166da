"""Starts a real Redis for the tests, on a port of loopback, that keeps nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PASSWORD = "a/secret"
needs_redis = pytest.mark.skipif(shutil.which("redis-server") is None, reason="Debian's redis-server is not installed")


@dataclass
class Redis:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def address(self) -> str:
        return f"redis://:a%2Fsecret@127.0.0.1:{self.port}/3"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--requirepass", PASSWORD, "--dir", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < until, "it does not listen"
                time.sleep(0.02)
            else:
                return

    def stop(self, how: int = signal.SIGKILL) -> None:
        """Or hold it: SIGSTOP."""
        assert self.process is not None
        os.kill(self.process.pid, how)
        if how != signal.SIGSTOP:
            self.process.wait()


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = Redis(folder, free.getsockname()[1])
    found.start()
    try:
        yield found
    finally:
        if found.process is not None and found.process.poll() is None:
            found.stop()
