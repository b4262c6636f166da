"""Thousands of clients that are slow on purpose: `python bench/slow_clients.py [--each 1000] [--json]`.

So many send their heads a byte a second, as many their bodies, and as many ask for more than the kernel holds and read nothing.
Counts those that the server still holds 12 s after the last one's first byte, by kind, and compares the p99 of callers who
behave with what it was before. Exit code 1 when any is held so long, or a caller who behaves is not answered.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from _closed_loop import load, request
from _endpoint import sockets
from _scratch import scratch_folder

from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import Supervisor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

#: Seconds after its first byte by which a slow client has to be gone.
GONE: Final = 12.0
COLUMNS: Final = 10
CALLERS: Final = 4
KINDS: Final = ("heads", "bodies", "readers")
Slow = Sequence[tuple[socket.socket, str]]


@contextmanager
def served() -> Iterator[tuple[int, int, str, bytes]]:
    """(port, worker, path, body)."""
    import serving_case as case

    with scratch_folder() as scratch:
        built = case.build(Path(scratch), case.contract(inputs=case.numbers(COLUMNS)))
        case.release(built)
        supervisor = Supervisor(Workspace(Path(scratch)), port=0)
        supervisor.start()
        try:
            body = json.dumps({"rows": [case.row(built)]}).encode()
            yield supervisor.port, supervisor.processes()[0], f"/models/{built.contract.name}/predict", body
        finally:
            supervisor.stop()


def first_bytes(kind: str, path: str) -> bytes:
    if kind == "readers":
        return b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 64
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n"
    return (head + ("X-Slow: " if kind == "heads" else "Content-Length: 5000\r\n\r\n")).encode()


def besiege(port: int, path: str, worker: int, each: int) -> tuple[dict[str, int], dict[str, int]]:
    """(the most that were held at once, held when they should have gone), by kind. A busy server takes its time to accept."""
    slow: list[tuple[socket.socket, str]] = []
    for kind in KINDS * each:
        s = socket.socket()
        if kind == "readers":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", port))
        s.setblocking(False)
        s.send(first_bytes(kind, path))
        slow.append((s, kind))
    begun = time.monotonic()
    first = held(port, worker, slow)
    while (left := begun + GONE - time.monotonic()) > 0:
        time.sleep(min(left, 0.2 if not all(first.values()) else 1.0))
        first = {kind: max(first[kind], now) for kind, now in held(port, worker, slow).items()}
        for s, kind in slow:
            if kind != "readers":
                with suppress(OSError):  # it was let go
                    s.send(b"a")
    last = held(port, worker, slow)
    for s, _ in slow:
        s.close()
    return first, last


def held(port: int, worker: int, slow: Slow) -> dict[str, int]:
    """How many of each kind the worker has open: one that was let go may not hear of it, who reads nothing."""
    ours, kinds = sockets(worker), {s.getsockname()[1]: kind for s, kind in slow}
    found = dict.fromkeys(KINDS, 0)
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        local, remote = (int(words[at].rpartition(":")[2], 16) for at in (1, 2))
        if local == port and remote in kinds and f"socket:[{words[9]}]" in ours:
            found[kinds[remote]] += 1
    return found


def measure(each: int) -> dict[str, Any]:
    with served() as (port, worker, path, body):
        message = [request(path, body)]
        before = load(port, message, CALLERS, 5.0)
        with ProcessPoolExecutor(1) as other:  # who behaves shares no interpreter with who does not
            calling = other.submit(load, port, message, CALLERS, GONE)
            first, last = besiege(port, path, worker, each)
            during = calling.result()
    p99 = [float(np.percentile(loop.took, 99)) * 1e3 for loop in (before, during)]
    return {
        "each": each,
        "held_at_once": first,
        "held_after_12_s": last,
        "p99_ms": [round(value, 2) for value in p99],
        "p99_x": round(p99[1] / p99[0], 2),
        "answered": len(during.took),
        "errors": before.errors + during.errors,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--each", type=int, default=1000, help="clients of each kind")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = measure(given.each)
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{given.each:,} of each kind: held at once {found['held_at_once']}, after {GONE:.0f} s", end=" ")
        print(
            f"{found['held_after_12_s']}; p99 of callers who behave {found['p99_ms']} ms, {found['p99_x']} ×", end=" "
        )
        print(f"({found['answered']:,} answers, {found['errors']} errors)")
    fine = all(found["held_at_once"].values()) and not any(found["held_after_12_s"].values())
    return 0 if fine and found["answered"] and not found["errors"] else 1


if __name__ == "__main__":
    sys.exit(main())
