"""More traffic than a model can answer: `python bench/overload.py [--models 5 20 80] [--factors 0.8 2 5 10] [--json]`.

For models that burn 5, 20 and 80 ms of the processor for each row inside ONNX Runtime: requests arrive at random (Poisson),
however long the answers take, at so many times what the server was measured to answer just before and just after. The server
has one core, the client another. Each line says what part of that capacity was answered in time (`goodput_per_cpu`: by the
processor's time that the worker got, which says something on a busy machine too), how long answers and refusals took, whether
refusals were well formed, rows computed for each row answered, and how health fared; then what the endpoint does after the load
has gone, when refused callers come back at once three times, and for a quiet caller beside a noisy one.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from _scratch import scratch_folder

from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
from burning import COLUMNS, graph  # noqa: E402

MODEL: Final = "churn"
#: Connections of a client at the most, and how long it waits for the last answers, in seconds.
CONNECTIONS: Final = 1500
LAST: Final = 3.0
HOT: Final = 300
PROBE: Final = 0.1


# A model that burns the processor


def burning(milliseconds: float) -> bytes:
    """A graph whose row costs about so much here and now."""
    from modelmark.serving.onnx_graph import open_graph

    def cost(turns: int) -> float:
        session, row = open_graph(graph(turns)), np.zeros((1, COLUMNS), np.float32)
        took = []
        for _ in range(5):
            started = time.perf_counter()
            session.run(None, {"X": row})
            took.append(time.perf_counter() - started)
        return min(took)

    turns = 200
    for _ in range(3):
        turns = max(1, round(turns * milliseconds / 1000 / max(cost(turns), 1e-6)))
    found: bytes = graph(turns)
    return found


# The client, in a process of its own


@dataclass(slots=True)
class Sent:
    """One request of a caller, over all its tries. due: when it was to be sent, by `perf_counter`."""

    who: str
    phase: int
    due: float
    tries: int = 0
    at: float = 0.0
    took: float = 0.0
    status: int = 0
    fine: bool = True  # whatever refused it said so as it should


@dataclass(slots=True)
class Wire:
    """A connection, and what is under way on it."""

    socket: socket.socket
    request: Sent | None = None
    got: bytes = b""


@dataclass(slots=True)
class Client:
    """Sends what is due, whether or not answers come; a caller is told apart by its key."""

    port: int
    body: bytes
    retries: int = 0
    free: dict[str, list[Wire]] = field(default_factory=dict)  # by caller: none uses another's connections
    wires: dict[int, Wire] = field(default_factory=dict)
    done: list[Sent] = field(default_factory=list)
    poll: Any = field(default_factory=select.epoll)

    def message(self, who: str) -> bytes:
        head = f"POST /models/{MODEL}/predict HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {who}\r\n"
        return f"{head}Content-Type: application/json\r\nContent-Length: {len(self.body)}\r\n\r\n".encode() + self.body

    def send(self, request: Sent) -> None:
        free = self.free.setdefault(request.who, [])
        if not free and len(self.wires) >= CONNECTIONS:
            request.status = -1  # the client's own limit: none should end here
            self.done.append(request)
            return
        wire = free.pop() if free else self._connect()
        wire.request, wire.got = request, b""
        request.tries += 1
        request.at = request.at or time.perf_counter()
        wire.socket.send(self.message(request.who))

    def _connect(self) -> Wire:
        made = socket.create_connection(("127.0.0.1", self.port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = self.wires[made.fileno()] = Wire(made)
        self.poll.register(made.fileno(), select.EPOLLIN)
        return wire

    def hear(self, seconds: float) -> None:
        """Take in what answers come within so many seconds."""
        for number, _ in self.poll.poll(max(seconds, 0.0)):
            wire = self.wires[number]
            data = wire.socket.recv(65536)
            wire.got += data
            head, found, rest = wire.got.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if found and length and len(rest) >= int(length[1]):
                self._answered(wire, head, rest)
            elif not data:
                self._lost(wire, number)

    def _lost(self, wire: Wire, number: int) -> None:
        self.poll.unregister(number)
        del self.wires[number]
        wire.socket.close()
        if wire.request is not None:
            wire.request.fine = False
            self.done.append(wire.request)

    def _answered(self, wire: Wire, head: bytes, rest: bytes) -> None:
        request, wire.request = wire.request, None
        if request is None:
            return
        self.free[request.who].append(wire)
        request.status = int(head[9:12])
        request.took = time.perf_counter() - request.at
        if request.status != 200:
            request.fine = request.fine and _well_formed(request.status, head, rest)
            if request.status == 429 and request.tries <= self.retries:
                self.send(request)
                return
        self.done.append(request)


def _well_formed(status: int, head: bytes, body: bytes) -> bool:
    after = re.search(rb"retry-after: (\d+)\r?\n?", head)
    code = json.loads(body).get("code")
    if status == 429:
        return code == "OVERLOADED" and after is not None and 1 <= int(after[1]) <= 30
    return status == 504 and code == "DEADLINE_EXCEEDED"


def open_loop(client: Client, phases: Sequence[tuple[float, dict[str, float]]], seed: int) -> list[Sent]:
    """phases: seconds, and requests a second of each caller."""
    draw, begin = random.Random(seed), time.perf_counter() + 0.1
    plan: list[tuple[float, int, str, int]] = []
    for number, (seconds, rates) in enumerate(phases):
        for who, rate in rates.items():
            at = begin
            while rate and (at := at + draw.expovariate(rate)) < begin + seconds:
                plan.append((at, len(plan), who, number))
        begin += seconds
    heapq.heapify(plan)
    asked = len(plan)
    while plan:
        due, _, who, number = heapq.heappop(plan)
        while (left := due - time.perf_counter()) > 0:
            client.hear(left)
        client.send(Sent(who, number, due))
        client.hear(0)
    until = time.perf_counter() + LAST
    while len(client.done) < asked and time.perf_counter() < until:
        client.hear(0.05)
    client.done += [wire.request for wire in client.wires.values() if wire.request is not None]  # never answered
    return client.done


def closed_loop(client: Client, connections: int, seconds: float) -> tuple[float, int]:
    """(answers a second, all answers) when so many callers each wait for their answer."""
    begun = time.perf_counter()
    counted_from, answered, total = begun + seconds / 4, 0, 0
    for _ in range(connections):
        client.send(Sent("capacity", 0, begun))
    while (now := time.perf_counter()) < begun + seconds:
        client.hear(0.05)
        for request in client.done:
            total += request.status == 200
            answered += request.status == 200 and now >= counted_from
            client.send(Sent("capacity", 0, now))
        client.done.clear()
    return answered / (time.perf_counter() - counted_from), total


def client_main(order: dict[str, Any]) -> None:
    client = Client(order["port"], order["body"].encode(), order.get("retries", 0))
    if "connections" in order:
        found: Any = closed_loop(client, order["connections"], order["seconds"])
    else:
        sent = open_loop(client, order["phases"], order["seed"])
        found = [[s.who, s.phase, s.due, s.at - s.due, s.took, s.status, s.fine] for s in sent]
    sys.stdout.write(json.dumps(found))


# The server, and what is asked of it


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server with one model. deadline: seconds; pid: its worker."""

    port: int
    pid: int
    body: str
    deadline: float
    core: int

    def ask(self, **order: Any) -> Any:
        """Run a client; health and metrics are asked meanwhile, and the slowest answer is kept."""
        told = json.dumps({"port": self.port, "body": self.body, **order})
        process = subprocess.Popen(
            [sys.executable, __file__, "--client"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self.core}),
        )  # fmt: skip
        try:
            return json.loads(process.communicate(told)[0])
        finally:
            process.kill()
            process.wait()

    def cpu(self) -> float:
        """Seconds of the processor that the worker has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """The worker's resident memory, in MB."""
        found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        return int(found[1]) / 1024 if found else 0.0

    def get(self, path: str) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            found = b""
            while piece := s.recv(65536):
                found += piece
        return found.decode()

    def rows_run(self) -> float:
        """As a second's age of metrics lets it be known."""
        time.sleep(1.1)
        return sum(
            map(float, re.findall(r"^modelmark_model_rows_total(?:{.*})? ([\d.e+]+)$", self.get("/metrics"), re.M))
        )


@contextmanager
def endpoint(milliseconds: float, deadline_ms: int, cores: tuple[int, int]) -> Iterator[Endpoint]:
    import serving_case as case
    from modelmark.domain.contract import Serving

    with scratch_folder() as scratch:
        agreed = case.contract(inputs=case.numbers(COLUMNS), serving=Serving(deadline_ms=deadline_ms))
        built = case.build(Path(scratch), agreed, burning(milliseconds))
        case.release(built)
        supervisor = Supervisor(Workspace(Path(scratch)), port=0)
        supervisor.start()
        try:
            (pid,) = supervisor.processes()
            yield Endpoint(supervisor.port, pid, json.dumps({"rows": [case.row(built)]}), deadline_ms / 1000, cores[1])
        finally:
            supervisor.stop()


class Health:
    """Asks for health and metrics now and then, in a thread, on connections of their own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint, self.took = endpoint, list[float]()

    def __enter__(self) -> Health:
        import threading

        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(PROBE):
            for path in ("/v2/health/ready", "/metrics"):
                started = time.perf_counter()
                if "200 OK" not in self._endpoint.get(path):
                    raise RuntimeError(f"{path} is not there")
                self.took.append(time.perf_counter() - started)


Rows = list[list[Any]]
WHO, PHASE, DUE, LAG, TOOK, STATUS, FINE = range(7)


def _p99(values: Sequence[float]) -> float:
    return float(np.percentile(values, 99)) if len(values) else 0.0


def figures(sent: Rows, seconds: float, deadline: float) -> dict[str, float]:
    good = [s for s in sent if s[STATUS] == 200 and s[TOOK] <= deadline]
    answered = [s[TOOK] for s in sent if s[STATUS] == 200]
    refused = [s[TOOK] for s in sent if s[STATUS] == 429]
    others = [s for s in sent if s[STATUS] not in (200, 429)]
    return {
        "asked": len(sent),
        "good_per_s": len(good) / seconds,
        "answered_p99_ms": _p99(answered) * 1e3,
        "refused": len(refused),
        "refused_p99_ms": _p99(refused) * 1e3,
        "late": sum(s[STATUS] == 504 for s in others),
        "lost": sum(s[STATUS] <= 0 for s in others),
        "ill_formed": sum(not s[FINE] for s in sent),
        "client_lag_p99_ms": _p99([s[LAG] for s in sent]) * 1e3,
    }


def share(sent: Rows, keep: Callable[[list[Any]], bool]) -> float:
    """Of the requests kept, those that were answered."""
    kept = [s for s in sent if keep(s)]
    return len([s for s in kept if s[STATUS] == 200]) / max(len(kept), 1)


class Capacity:
    """What the server answers when four callers each wait for their answer. The machine's speed moves twofold, so it is measured
    before and after each load, and the mean of both is what the load is held against."""

    def __init__(self, at: Endpoint, seconds: float) -> None:
        self._at, self._seconds = at, seconds
        self.rate, self.per_cpu = self._measured()

    def _measured(self) -> tuple[float, float]:
        """(rows a second, rows a second of the worker's processor time)."""
        cpu = self._at.cpu()
        rate, answers = self._at.ask(connections=4, seconds=self._seconds)
        return rate, answers / (self._at.cpu() - cpu)

    def around(self, load: Callable[[float], tuple[float, float, Any]]) -> tuple[float, float, Any]:
        """load: given the capacity, tells rows answered a second, the processor's seconds for each second, and more. Returns
        goodput, the same by processor time, and more."""
        before, before_cpu = self.rate, self.per_cpu
        rate, cpu, more = load(before)
        self.rate, self.per_cpu = self._measured()
        return rate / ((before + self.rate) / 2), rate / cpu / ((before_cpu + self.per_cpu) / 2), more


def measure(at: Endpoint, factors: Sequence[float], seconds: float) -> dict[str, dict[str, float]]:
    capacity = Capacity(at, max(seconds / 3, 2.0))
    found: dict[str, dict[str, float]] = {"capacity": {"rows_per_s": capacity.rate, "rows_per_cpu_s": capacity.per_cpu}}

    def load(rates: dict[str, float], seed: int, retries: int = 0) -> tuple[Rows, dict[str, float]]:
        """rates: times capacity, of each caller."""

        def run(rate: float) -> tuple[float, float, Any]:
            rows, cpu = at.rows_run(), at.cpu()
            with Health(at) as health:
                callers = {who: factor * rate for who, factor in rates.items()}
                sent = at.ask(phases=[(seconds, callers)], seed=seed, retries=retries)
            cpu = at.cpu() - cpu
            one = figures(sent, seconds, at.deadline)
            answers = max(sum(s[STATUS] == 200 for s in sent), 1)
            one |= {"rows_per_answer": (at.rows_run() - rows) / answers, "health_max_ms": max(health.took) * 1e3}
            return one.pop("good_per_s"), cpu / seconds, (sent, one)

        goodput, by_cpu, (sent, one) = capacity.around(run)
        return sent, {"goodput": goodput, "goodput_per_cpu": by_cpu, **one}

    for number, factor in enumerate(factors):
        found[f"{factor:g} x"] = load({"one": factor}, number)[1]
    highest = max(factors)
    found[f"after {highest:g} x"] = recovery(at, capacity.rate, highest, seconds)
    found["2 x, three retries"] = load({"one": 2}, 12, retries=3)[1]

    def at_once(_: float) -> tuple[float, float, Any]:
        cpu, long = at.cpu(), max(seconds / 2, 2.0)
        rate, answers = at.ask(connections=HOT, seconds=long)
        return rate, rate / (answers / (at.cpu() - cpu)), None

    goodput, by_cpu, _ = capacity.around(at_once)
    found[f"{HOT} callers who come back at once"] = {"goodput": goodput, "goodput_per_cpu": by_cpu}
    sent, one = load({"noisy": highest, "quiet": 0.3}, 13)
    quiet, noisy = ([s for s in sent if s[WHO] == who] for who in ("quiet", "noisy"))
    found[f"quiet beside noisy at {highest:g} x"] = {
        "quiet_answered": share(quiet, lambda s: True),
        "noisy_answered": share(noisy, lambda s: True),
        "quiet_p99_ms": _p99([s[TOOK] for s in quiet if s[STATUS] == 200]) * 1e3,
        "goodput": one["goodput"],
        "goodput_per_cpu": one["goodput_per_cpu"],
    }
    return found


def recovery(at: Endpoint, capacity: float, highest: float, seconds: float) -> dict[str, float]:
    """How 0.8 times the capacity fares before and after too much, and what is left of that when nobody asks any more."""
    memory = at.memory()
    sent = at.ask(phases=[(seconds, {"one": f * capacity}) for f in (0.8, highest, 0.8)], seed=11)
    back = min((s[DUE] for s in sent if s[PHASE] == 2), default=0.0)
    time.sleep(min(2.0, seconds))
    cpu = at.cpu()
    time.sleep(1)
    return {
        "answered_before": share(sent, lambda s: s[PHASE] == 0),
        "answered_after": share(sent, lambda s: s[PHASE] == 2 and s[DUE] > back + min(2.0, seconds / 2)),
        "cpu_of_a_core": at.cpu() - cpu,
        "memory_mb": at.memory() - memory,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=float, nargs="+", default=[5, 20, 80], help="milliseconds a row")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.8, 2, 5, 10])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--deadline-ms", type=int, default=500)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of lines")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        client_main(json.load(sys.stdin))
        return
    cores = sorted(os.sched_getaffinity(0))
    pair = (cores[0], cores[-1])
    os.sched_setaffinity(0, {pair[0]})
    results = {}
    for milliseconds in options.models:
        with endpoint(milliseconds, options.deadline_ms, pair) as at:
            results[f"{milliseconds:g} ms"] = found = measure(at, options.factors, options.seconds)
        if not options.json:
            for name, line in found.items():
                told = "  ".join(f"{key} {value:,.3g}" for key, value in line.items())
                print(f"{milliseconds:g} ms, {name}: {told}", flush=True)
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
