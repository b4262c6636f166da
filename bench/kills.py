"""Processes killed under load: `python bench/kills.py [--kills 1000] [--json]`.

`modelmark up` with two workers answers callers while, again and again, one of its processes (a worker, the endpoint's
supervisor, the steward, `up` itself) is killed, stopped or ended. `up`, and a stopped process of nobody, are started again by
us, as a service manager would. Counts answered predictions that the journal lost or has twice, and the seconds until the
endpoint is whole again. Exit code 1 when anything was lost or doubled, never came back, or does not verify.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

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
SIGNALS: Final = {"KILL": signal.SIGKILL, "STOP": signal.SIGSTOP, "TERM": signal.SIGTERM}
WORKERS: Final = 2
#: Whoever is not whole again by then has failed.
PATIENCE: Final = 60.0


@dataclass
class Endpoint:
    """`modelmark up` on ports that stay, and its processes as the system lists them."""

    root: Path
    workspace: Path
    port: int
    dashboard: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ports = ("--port", str(self.port), "--dashboard-port", str(self.dashboard))
        command = [sys.executable, "-m", "modelmark", "up", *ports, "--workers", str(WORKERS)]
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
            if "serve" in words:
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
        if counts != {"worker": WORKERS, "supervisor": 1, "steward": 1, "up": 1}:
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

    def __init__(self, port: int, path: str, body: bytes, stop: threading.Event) -> None:
        super().__init__(daemon=True)
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
            time.sleep(0.002)  # enough to be hit at any moment; the machine is needed for starting again


@dataclass
class Figures:
    """seconds: role and signal -> until whole again, each time."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def hit(endpoint: Endpoint, role: str, name: str, chance: random.Random) -> float | None:
    """Seconds until whole again; None when that did not come about. `up` is started again by us when it has gone; when it
    is stopped it goes on after a second, for nobody else watches over it."""
    victim = chance.choice(endpoint.family()[role])
    os.kill(victim, SIGNALS[name])
    began = time.monotonic()
    if role == "up":
        assert endpoint.process is not None
        if name == "STOP":
            time.sleep(1.0)
            os.kill(victim, signal.SIGCONT)
            victim = 0
        else:
            endpoint.process.wait(90)
            endpoint.start()
            began = time.monotonic()
    return whole_again(endpoint, victim, began)


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
    """witness: signs what is compacted. verify: what `modelmark verify` finds wrong."""

    workspace: Workspace
    witness: Witness | None
    name: str
    body: bytes
    verify: Callable[[], str]


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
    return Prepared(Workspace(place.workspace), place.app().witness, NAME, body, verify)


def run(root: Path, kills: int, callers: int, only: Sequence[str], whole: bool, seed: int) -> dict[str, Any]:
    it = prepared(root, whole)
    ports = []
    for _ in range(2):
        with reserve("127.0.0.1", 0) as held:
            ports.append(held.getsockname()[1])
    endpoint, figures, chance, stop = (
        Endpoint(root, it.workspace.root, *ports),
        Figures(),
        random.Random(seed),
        threading.Event(),
    )
    asking = [Caller(ports[0], f"/models/{it.name}/predict", it.body, stop) for _ in range(callers)]
    plan = [(role, sent) for sent in SIGNALS for role in only]
    endpoint.start()
    try:
        if whole_again(endpoint, 0, time.monotonic()) is None:
            figures.faults.append("it never was ready")
            kills = 0
        for caller in asking:
            caller.start()
        for number in range(kills):
            role, sent = plan[number % len(plan)] if number < len(plan) else chance.choice(plan)
            time.sleep(chance.uniform(0.05, 0.4))
            took = hit(endpoint, role, sent, chance)
            if took is None:
                figures.faults.append(f"{role} after {sent}, kill {number}: not whole again within {PATIENCE:.0f} s")
                break
            figures.seconds.setdefault(f"{role} {sent}", []).append(took)
            print(f"{number + 1}: {role} {sent} {took:.2f} s", file=sys.stderr, flush=True)
    finally:
        stop.set()
        for caller in asking:
            if caller.is_alive():
                caller.join(20)
        endpoint.end()
    answered = [id for caller in asking for id in caller.ids]
    kept, faults = settled(it.workspace, it.witness, it.name)
    faults += [said] if (said := it.verify()) else []
    return {
        "kills": sum(map(len, figures.seconds.values())),
        "answered": len(answered),
        "lost": sum(kept[id] == 0 for id in answered),
        "doubled": sum(count > 1 for count in kept.values()),
        "cut": sum(caller.cut for caller in asking),
        "refused": dict(sum((caller.refused for caller in asking), Counter())),
        "seconds": {
            what: {"n": len(took), "median": round(sorted(took)[len(took) // 2], 2), "worst": round(max(took), 2)}
            for what, took in figures.seconds.items()
        },
        "faults": figures.faults + faults,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--alone", action="store_true", help="a version without gates, approvals and `modelmark verify`"
    )
    parser.add_argument("--only", nargs="+", choices=ROLES, default=ROLES, help="whom to hit")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what we started ends with us
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), given.kills, given.callers, given.only, not given.alone, given.seed)
        if found["faults"]:
            sys.stderr.write((Path(folder) / "up.log").read_text()[-3000:])
    if given.json:
        print(json.dumps(found))
    else:
        print(
            f"{found['kills']} kills: {found['lost']} of {found['answered']:,} answers lost, {found['doubled']} doubled"
        )
        for what, took in found["seconds"].items():
            print(
                f"  {what:<16} whole again after {took['median']:.2f} s, at worst {took['worst']:.2f} s ({took['n']} times)"
            )
        print(f"  cut: {found['cut']}; refused: {found['refused']}; faults: {found['faults']}")
    return 1 if found["faults"] or found["lost"] or found["doubled"] else 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
