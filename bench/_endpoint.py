"""`modelmark up` as benches start it, the callers that ask it, and what the journal has afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import serving_case as case
from journey import NAME, Place, mixed, rows_of, small
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.query import predictions
from modelmark.journal.tables.verification import verify_tables
from modelmark.journal.tables.witness import Witness
from modelmark.journal.wal.reader import verify_wal
from modelmark.serving.http.listening import reserve

ROLES: Final = ("worker", "supervisor", "steward", "up")
#: Whoever is not whole again by then has failed.
PATIENCE: Final = 60.0


def free_ports(count: int) -> list[int]:
    found = []
    for _ in range(count):
        with reserve("127.0.0.1", 0) as held:
            found.append(held.getsockname()[1])
    return found


@dataclass
class Endpoint:
    """`modelmark up` on ports that stay, and its processes as the system lists them."""

    root: Path
    workspace: Path
    port: int
    dashboard: int
    workers: int = 2
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ports = ("--port", str(self.port), "--dashboard-port", str(self.dashboard))
        command = [sys.executable, "-m", "modelmark", "up", *ports, "--workers", str(self.workers)]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELMARK_")}
        with (self.root / "up.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--workspace", str(self.workspace)], stdout=log, stderr=log, env=environment
            )

    def family(self) -> dict[str, list[int]]:
        """Role -> the processes that have it, of this `up` and no earlier one."""
        found: dict[str, list[int]] = {role: [] for role in ROLES}
        if self.process is None or self.process.poll() is not None:
            return found
        found["up"] = [self.process.pid]
        for child, words in children(self.process.pid):
            if "modelmark.cli.endpoint" in words:
                found["supervisor"].append(child)
                found["worker"] += [pid for pid, said in children(child) if "modelmark.serving.worker" in said]
            elif "steward" in words:
                found["steward"].append(child)
        return found

    def is_whole(self, without: int) -> bool:
        """All are there, the one that was hit is not, each worker listens, and whoever asks anew is answered. The steward
        counts when its process is there: what it must load to show its pages takes longer, and no prediction waits for it."""
        family = self.family()
        counts = {role: len(pids) for role, pids in family.items()}
        if counts != {"worker": self.workers, "supervisor": 1, "steward": 1, "up": 1}:
            return False
        if any(without in pids for pids in family.values()):
            return False
        listening = listeners(self.port)
        return all(listening & sockets(pid) for pid in family["worker"]) and ready(self.port)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(90)


def children(parent: int) -> list[tuple[int, list[str]]]:
    """(id, command line) of each."""
    found: list[tuple[int, list[str]]] = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        with suppress(OSError):
            if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append((int(path.name), (path / "cmdline").read_text().split("\0")))
    return found


def listeners(port: int) -> set[str]:
    """The sockets that listen on a port of IPv4."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{it[9]}]" for it in lines if it[3] == "0A" and int(it[1].partition(":")[2], 16) == port}


def sockets(pid: int) -> set[str]:
    found: set[str] = set()
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(path))
    return found


def ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5) as s:
            s.sendall(b"GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return s.recv(65536).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Caller(threading.Thread):
    """One connection that asks again and again, anew when it is cut, and remembers whatever was answered whole."""

    def __init__(self, port: int, path: str, body: bytes, stop: threading.Event, pause: float = 0.002) -> None:
        """pause: seconds between an answer and the next request, enough to be hit at any moment."""
        super().__init__(daemon=True)
        self.pause = pause
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.port, self.message, self.stopped = port, head.encode() + body, stop
        self.ids: list[str] = []
        self.refused: Counter[str] = Counter()
        self.cut = 0

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    self._ask(s)
            except OSError:
                self.cut += 1
                time.sleep(0.02)

    def _ask(self, s: socket.socket) -> None:
        while not self.stopped.is_set():
            s.sendall(self.message)
            answer = b""
            while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
                piece = s.recv(65536)
                if not piece:
                    raise ConnectionResetError
                answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            found = json.loads(body)
            if head.startswith(b"HTTP/1.1 200"):
                self.ids.append(found["id"])
            else:
                self.refused[found["code"]] += 1
            if b"connection: close" in head:
                return
            time.sleep(self.pause)


def whole_again(endpoint: Endpoint, victim: int, began: float) -> float | None:
    while time.monotonic() - began < PATIENCE:
        if endpoint.is_whole(victim):
            return time.monotonic() - began
        time.sleep(0.02)
    return None


def settled(workspace: Workspace, witness: Witness | None, name: str) -> tuple[Counter[str], list[str]]:
    """(how often each id stands in the tables, what does not verify), once every process has ended."""
    compactor = Compactor(workspace, witness=witness)
    until = time.monotonic() + PATIENCE
    while compactor.run().more or (any(workspace.wal.glob("*/*.open")) and time.monotonic() < until):
        time.sleep(0.1)
    end = datetime(2100, 1, 1, tzinfo=UTC)
    found = predictions(workspace, name, datetime(2000, 1, 1, tzinfo=UTC), end, columns=["id"])
    faults = [str(bad) for bad in [verify_wal(workspace.wal).bad] if bad is not None]
    if sum(rows for _, rows in verify_tables(workspace)) < found.num_rows:
        faults.append("the tables have rows that no receipt vouches for")
    return Counter(found["id"].to_pylist() if found.num_rows else []), faults


@dataclass(frozen=True)
class Prepared:
    """witness: signs what is compacted. verify: what `modelmark verify` finds wrong. place: where commands run, None for a
    version that none of them made."""

    workspace: Workspace
    witness: Witness | None
    name: str
    body: bytes
    verify: Callable[[], str]
    place: Place | None = None


def prepared(root: Path, whole: bool) -> Prepared:
    """whole: released by the real commands."""
    if not whole:
        built = case.build(root / "w")
        case.release(built)
        return Prepared(built.workspace, None, "churn", json.dumps({"rows": [case.row(built)]}).encode(), lambda: "")
    place: Place = small(root / "w")
    place.champion()

    def verify() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "modelmark", "verify"], cwd=place.folder, env=place.environ, capture_output=True, text=True
        )  # fmt: skip
        return "" if done.returncode == 0 else done.stdout + done.stderr

    body = json.dumps({"rows": rows_of(mixed(), "y", 1)}).encode()
    return Prepared(Workspace(place.workspace), place.app().witness, NAME, body, verify, place)
