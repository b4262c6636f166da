"""A model that misbehaves in a process of its own, beside one that does not: `python bench/neighbours.py [--seconds 5]`.

One worker serves a graph and an isolated model. The graph is asked over 8 connections, first while the other is asked and
answers as it should, then while each of its requests makes it hang, crash, leak 10 MB, answer NaN, or take 200 ms; slices
alternate. Each line: answers of the neighbour that were not 200, its p99 and times what it was beside a model in good health,
what answered for the faulty one, its answers that were not 200, and its memory at the end. 1 where a neighbour failed.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from _closed_loop import Loop, load, request
from _scratch import scratch_folder

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import serving_case as case  # noqa: E402
from modelmark.domain.contract import Fallback, FallbackKind, Outputs, Serving  # noqa: E402
from modelmark.domain.metrics import Task  # noqa: E402
from modelmark.domain.version import Signature  # noqa: E402
from modelmark.serving.supervisor import Supervisor  # noqa: E402

CONNECTIONS: Final = 8
#: What the first number of a row makes the model do.
FAULTS: Final = {"none": 0.0, "hangs": 9.0, "crashes": 8.0, "leaks": 11.0, "answers NaN": 12.0, "is slow": 13.0}
CODE: Final = """
import os, time
import numpy as np
from modelmark.serving.flavours import Runs

KEPT = []

class Faulty:
    runs = Runs.PROCESS

    def __init__(self, files, signature, *, numeric, textual):
        pass

    def run(self, numbers, texts):
        first = numbers[0, 0]
        if first == 8:
            os.abort()
        if first == 9:
            while True:
                pass
        if first == 11:
            KEPT.append(bytearray(os.urandom(1 << 20) * 10))
        if first == 12:
            return np.full((len(numbers), 1), np.nan)
        if first == 13:
            time.sleep(0.2)
        return numbers[:, :1] * 2
"""


def installed(root: Path) -> None:
    """The flavour `faulty`, for the processes that are started from here."""
    info = root / "site" / "faulty-1.0.dist-info"
    info.mkdir(parents=True)
    (root / "site" / "faulty_flavour.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelmark.flavours]\nfaulty = faulty_flavour:Faulty\n")
    os.environ["PYTHONPATH"] = str(root / "site")
    sys.path.insert(0, str(root / "site"))


@contextmanager
def served(root: Path) -> Iterator[Supervisor]:
    """`good` and `faulty`, one worker."""
    good = case.build(root / "w", case.contract(name="good", inputs=case.numbers(30)))
    contract = case.contract(
        name="faulty", task=Task.REGRESSION, inputs=case.numbers(2), outputs=Outputs(minimum=-1e6, maximum=1e6),
        serving=Serving(deadline_ms=500), fallback=(Fallback(kind=FallbackKind.CONSTANT, value=1.0),),
    )  # fmt: skip
    signature = Signature(feeds=(), score_output="value")
    faulty = case.build(root / "w", contract, signature=signature, flavour="faulty", files={"model": b"1"})
    case.release(good, beside=(faulty,))
    supervisor = Supervisor(good.workspace, port=0, workers=1)
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()


class Troubled(threading.Thread):
    """Asks the faulty model, one request after the other over two connections, until it is to stop."""

    def __init__(self, port: int, value: float) -> None:
        super().__init__(daemon=True)
        body = json.dumps({"rows": [{"f0": value, "f1": 0.0}]}).encode()
        self._port, self._message = port, request("/models/faulty/predict", body)
        self.stop = threading.Event()
        self.served_by, self.not_200 = Counter[str](), 0

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as s:
            while not self.stop.is_set():
                s.sendall(self._message)
                answer = s.recv(65536)
                if answer.startswith(b"HTTP/1.1 200"):
                    found = json.loads(answer.partition(b"\r\n\r\n")[2])
                    self.served_by[str(found["served_by"])] += 1
                else:
                    self.not_200 += 1


def beside(port: int, messages: list[bytes], value: float, seconds: float) -> tuple[Loop, Troubled]:
    troubled = Troubled(port, value)
    troubled.start()
    time.sleep(0.2)
    found = load(port, messages, CONNECTIONS, seconds)
    troubled.stop.set()
    troubled.join()
    return found, troubled


def p99(found: Loop) -> float:
    return float(np.quantile(found.took, 0.99)) * 1000


def children_mb(processes: Sequence[int]) -> float:
    """What the processes that models run in take, together."""
    found = 0.0
    for pid in processes:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if "isolated" in Path(f"/proc/{child}/cmdline").read_bytes().decode():
                    found += int(Path(f"/proc/{child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return found


def measured(supervisor: Supervisor, faults: Mapping[str, float], seconds: float, slices: int) -> dict[str, Any]:
    rows = np.random.default_rng(1).normal(size=(64, 30)).round(4).tolist()
    messages = [
        request("/models/good/predict", json.dumps({"rows": [{f"f{i}": v for i, v in enumerate(row)}]}).encode())
        for row in rows
    ]
    found: dict[str, Any] = {}
    last = list(faults)[-1]
    for name, value in faults.items():
        ratios, times, failed, by, refused = [], [], 0, Counter[str](), 0
        for turn in range(slices):
            healthy, _ = beside(supervisor.port, messages, 0.0, seconds)
            ill, troubled = beside(supervisor.port, messages, value, seconds)
            failed += ill.errors + healthy.errors
            times.append(p99(ill))
            ratios.append(p99(ill) / p99(healthy))
            by, refused = by + troubled.served_by, refused + troubled.not_200
            if name == last and turn == slices - 1:
                break
            until = time.monotonic() + 150  # its quarantine passes before the next
            probe = Troubled(supervisor.port, 0.0)
            probe.start()
            while name != "none" and not probe.served_by["model"] and time.monotonic() < until:
                time.sleep(0.1)
            probe.stop.set()
            probe.join()
        found[name] = {
            "neighbour_failed": failed, "neighbour_p99_ms": statistics.median(times), "x_healthy": statistics.median(ratios),
            "served_by": dict(by), "not_200": refused, "child_mb": children_mb(supervisor.processes()),
        }  # fmt: skip
        print(f"{name:<12} " + "  ".join(f"{key} {shown(value)}" for key, value in found[name].items()), flush=True)
    return found


def shown(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a slice")
    parser.add_argument("--slices", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=list(FAULTS), choices=list(FAULTS))
    options = parser.parse_args()
    with scratch_folder() as scratch:
        installed(Path(scratch))
        with served(Path(scratch)) as supervisor:
            found = measured(supervisor, {name: FAULTS[name] for name in options.only}, options.seconds, options.slices)
    print(json.dumps(found))
    return 1 if any(one["neighbour_failed"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
