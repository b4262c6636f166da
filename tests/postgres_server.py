"""Starts a real PostgreSQL server for the tests, as an ordinary user, listening on a Unix socket only."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def binaries() -> Path | None:
    """The folder with `initdb` and `pg_ctl`, newest release first."""
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: -int(p.parent.name))
    named = shutil.which("initdb")
    return next((p for p in known if (p / "initdb").exists()), Path(named).parent if named else None)


@dataclass(frozen=True)
class Server:
    folder: Path
    bin: Path

    @classmethod
    @contextmanager
    def started(cls, bin: Path, _: Path) -> Iterator[Server]:
        # A socket's path holds at most 107 bytes, and the server's own user must be able to enter it.
        folder = Path(tempfile.mkdtemp(prefix="mm-pg-", dir="/tmp"))
        server = cls(folder, bin)
        try:
            if os.geteuid() == 0:
                shutil.chown(folder, "postgres")
            server.run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "modelmark", "--no-sync")
            options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
            log = str(folder / "log")
            server.run("pg_ctl", "-D", str(folder / "data"), "-o", options, "-l", log, "-w", "start")
            try:
                yield server
            finally:
                server.run("pg_ctl", "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def create(self, name: str) -> str:
        """A fresh database's URL."""
        self.run("createdb", "-h", str(self.folder), "-U", "modelmark", name)
        return f"postgresql://modelmark@/{name}?host={self.folder}"

    def run(self, command: str, *arguments: str) -> None:
        user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        done = subprocess.run(
            [str(self.bin / command), *arguments],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL if command == "pg_ctl" else subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command} failed: {done.stdout}")
