"""Our server with every duty on, beside servers without any: `python bench/serving.py`.

Beside it: bare uvicorn + ONNX Runtime (the ceiling), FastAPI + ONNX Runtime and FastAPI + scikit-learn as people write them; by
`--peers mlflow mlserver bentoml litserve triton` also those, each in an environment that is made under .peers, with the
scikit-learn object itself and rows of 30 numbers. What cannot be installed here is named.
64 bodies that differ, in length too, so that no request is the last one again. Rows of 30 numbers, of 4 numbers and 12
texts, of 200 numbers; 1, 32 and 256 of them; 64, 16, 4 and 1 connections; 1 and 2 workers. All answer the same bodies with
the same probabilities, which is checked first. Slices alternate, so that a noisy machine is noisy to all; ratios are taken
slice by slice and their median reported. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from _closed_loop import Loop, ask, load, request
from _peers import OWN, START, NotInstalled
from _peers import bodies as own_bodies
from _peers import command as own_command
from _scratch import scratch_folder
from _serving_kinds import Kind, bodies

from modelmark.domain.version import ASKED, ORIGINAL, SAVED, Feed, Signature
from modelmark.domain.workspace import Workspace
from modelmark.registry.convert import request_of
from modelmark.seal.digests import canonical
from modelmark.serving.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

BODIES = 64
NUMBERS, TEXTS, WIDE = Kind("30 numbers", 30, 0), Kind("12 texts", 4, 12), Kind("200 numbers", 200, 0)
#: A version that was converted, the same estimator as itself in a process with walls, a server without duties.
OURS, ITSELF, BARE = "modelmark", "modelmark as itself", "bare"
PEERS = {BARE: "_bare", "fastapi+onnx": "_fastapi_onnx", "fastapi+sklearn": "_fastapi_sklearn"}

#: Of the rows that the servers of `_peers` are asked.
OWN_COLUMNS = 30


@dataclass(frozen=True)
class Case:
    """So many rows a request, over so many connections."""

    kind: Kind
    rows: int
    connections: int
    workers: int = 1

    @property
    def name(self) -> str:
        many = "row" if self.rows == 1 else "rows"
        workers = "" if self.workers == 1 else f", {self.workers} workers"
        return f"{self.kind.name}, {self.rows} {many} @ {self.connections}{workers}"


CASES = [
    Case(NUMBERS, 1, 64),
    Case(NUMBERS, 1, 16),
    Case(NUMBERS, 1, 1),
    Case(NUMBERS, 32, 16),
    Case(NUMBERS, 256, 4),
    Case(TEXTS, 1, 64),
    Case(TEXTS, 32, 16),
    Case(WIDE, 1, 64),
    Case(WIDE, 32, 16),
    Case(NUMBERS, 1, 64, workers=2),
]


@dataclass(frozen=True)
class Server:
    """messages: by rows a request."""

    port: int
    processes: Sequence[int]
    cold: float
    messages: Mapping[int, Sequence[bytes]]


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def peer(module: str, asked: bytes, workers: int, path: str, sent: Mapping[int, Sequence[bytes]]) -> Iterator[Server]:
    port, started = _free_port(), time.perf_counter()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "bench" / "peers"), f"{module}:app"]
    command += ["--port", str(port), "--workers", str(workers), "--loop", "uvloop", "--http", "httptools"]
    command += ["--no-access-log", "--log-level", "error", "--lifespan", "off"]
    process = subprocess.Popen(command, env={**os.environ, "BENCH_ASKED": asked.decode()})
    try:
        messages = {rows: [request(path, body) for body in found] for rows, found in sent.items()}
        _until_answered(port, next(iter(messages.values()))[0], process)
        cold = time.perf_counter() - started
        yield Server(port, _families([process.pid]), cold, messages)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def own(
    name: str, estimator: Path, folder: Path, workers: int, sent: Mapping[int, Sequence[bytes]]
) -> Iterator[Server]:
    """A model server that people have. Raises NotInstalled where it cannot be had here, or does not begin."""
    port, log = _free_port(), folder / f"{name}.log"
    command = own_command(name, port, workers, folder, estimator)
    started = time.perf_counter()
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stdout=lines, stderr=lines, start_new_session=True)
    try:
        messages = {
            rows: [request(OWN[name].path, body) for body in own_bodies(name, found)] for rows, found in sent.items()
        }
        try:
            _until_answered(port, next(iter(messages.values()))[0], process, START)
        except RuntimeError as error:
            said = log.read_text(errors="replace").splitlines()
            why = next((line for line in reversed(said) if "Error" in line), "it said nothing")
            raise NotInstalled(f"could not be started: {error}; {why[:300]}") from None
        yield Server(port, _families([process.pid]), time.perf_counter() - started, messages)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its workers are in its session
        process.wait()


@contextmanager
def ours(workspace: Workspace, workers: int, path: str, sent: Mapping[int, Sequence[bytes]]) -> Iterator[Server]:
    started = time.perf_counter()
    supervisor = Supervisor(workspace, port=0, workers=workers)
    supervisor.start()
    try:
        messages = {rows: [request(path, body) for body in found] for rows, found in sent.items()}
        ask(supervisor.port, next(iter(messages.values()))[0])
        yield Server(supervisor.port, _families(supervisor.processes()), time.perf_counter() - started, messages)
    finally:
        supervisor.stop()


def _families(processes: Sequence[int]) -> list[int]:
    """The processes and all below them."""
    found = list(processes)
    for pid in found:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def _until_answered(port: int, message: bytes, process: subprocess.Popen[bytes], patience: float = 0.0) -> None:
    """patience: seconds, in which a server that listens may refuse, as some do while they load; 0: it may not."""
    until = time.monotonic() + patience
    while process.poll() is None:
        try:
            ask(port, message)
        except (OSError, RuntimeError) as error:
            if patience and time.monotonic() > until:
                raise RuntimeError(f"no answer after {patience:.0f} s ({error})") from None
            if isinstance(error, RuntimeError) and not patience:
                raise
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"a peer ended with {process.returncode}")


@contextmanager
def servers(kind: Kind, workers: int, rows: set[int], names: Sequence[str]) -> Iterator[dict[str, Server]]:
    """Every server of one kind of rows, each checked to answer as the others do; those that people have take numbers alone."""
    import serving_case as case

    with scratch_folder() as scratch, ExitStack() as opened:
        root = Path(scratch)
        graph, estimator = kind.make(root)
        built = case.build(root, case.contract(inputs=kind.inputs()), graph, signature=kind.signature())
        case.release(built)
        itself = as_itself(root / "itself", kind, estimator)
        whole = len(kind.columns)
        feeds = [{"name": "X", "low": 0, "high": kind.numbers, "text": False}]
        feeds += [{"name": "T", "low": kind.numbers, "high": whole, "text": True}] if kind.texts else []
        asked = msgspec.json.encode(
            {
                "graph": str(built.folder / "model.onnx"),
                "estimator": str(estimator),
                "columns": kind.columns,
                "feeds": feeds,
                "output": "probabilities",
            }
        )
        sent = {count: bodies(kind, count, BODIES) for count in sorted(rows)}
        named, lists = ({count: both[form] for count, both in sent.items()} for form in (0, 1))
        found: dict[str, Server] = {}
        for name in names:
            if name in OWN:
                if kind.texts or len(kind.columns) != OWN_COLUMNS:
                    continue
                try:
                    found[name] = opened.enter_context(own(name, estimator, root, workers, lists))
                except NotInstalled as why:
                    print(f"{name}: {why}", flush=True)
                continue
            if name in (OURS, ITSELF):
                workspace = (built if name == OURS else itself).workspace
                server = ours(workspace, workers, f"/models/{built.contract.name}/predict", named)
            else:
                path, form = ("/", lists) if name == BARE else ("/predict", named)
                server = peer(PEERS[name], asked, workers, path, form)
            found[name] = opened.enter_context(server)
        _require_same_answers(found)
        yield found


def as_itself(root: Path, kind: Kind, estimator: Path) -> Any:
    """The estimator as a version that runs as itself."""
    import serving_case as case

    agreed = case.contract(inputs=kind.inputs())
    feeds = tuple(
        Feed(graph_input=name, columns=(name,), dtype="string" if text else "float64") for name, text in kind.columns
    )
    files = {
        SAVED: estimator.read_bytes(),
        ASKED: canonical({**request_of(agreed), "run": "isolated", "libraries": []}),
    }
    signature = Signature(feeds=feeds, score_output="scores")
    built = case.build(root, agreed, signature=signature, flavour=ORIGINAL, files=files)
    case.release(built)
    return built


def _require_same_answers(found: Mapping[str, Server]) -> None:
    scores = {name: _probabilities(server, name) for name, server in found.items()}
    for name, values in scores.items():
        if not np.allclose(values, scores[OURS], atol=1e-4):
            raise RuntimeError(f"{name} answers otherwise than {OURS}")


def _probabilities(server: Server, name: str) -> np.ndarray:
    first = next(iter(server.messages.values()))[0]
    told = json.loads(ask(server.port, first))
    if name in OWN:
        return np.array(OWN[name].answers(told))
    found = told["predictions"]
    return np.array([list(row["probabilities"].values()) if isinstance(row, dict) else row for row in found])


def _rss(processes: Sequence[int]) -> float:
    """Megabytes."""
    lines = [line for pid in processes for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def _cpu(processes: Sequence[int]) -> float:
    """Seconds."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(each[11]) + int(each[12]) for each in fields) / 100


def compare(found: Mapping[str, Server], case: Case, slices: int, seconds: float) -> dict[str, dict[str, float]]:
    """By server; × is how many times the bare server's, in the same turn."""
    runs: dict[str, list[Loop]] = {name: [] for name in found}
    cost: dict[str, list[float]] = {name: [] for name in found}
    for server in found.values():
        load(server.port, server.messages[case.rows], case.connections, min(0.5, seconds))
    for turn in range(slices):
        for name in sorted(found, reverse=bool(turn % 2)):
            server = found[name]
            before = _cpu(server.processes)
            run = load(server.port, server.messages[case.rows], case.connections, seconds)
            cost[name].append((_cpu(server.processes) - before) / max(len(run.took), 1) * 1e6)
            runs[name].append(run)
    shown = {name: _figures(runs[name], cost[name]) for name in found}
    if BARE in found:
        for name, figures in shown.items():
            pairs = zip(runs[name], runs[BARE], strict=True)
            figures["x_bare"] = statistics.median(mine.rate / bare.rate for mine, bare in pairs)
            figures["x_p50"] = figures["p50_ms"] / shown[BARE]["p50_ms"]
            figures["x_p99"] = figures["p99_ms"] / shown[BARE]["p99_ms"]
    return shown


def _figures(runs: Sequence[Loop], cost: Sequence[float]) -> dict[str, float]:
    q = statistics.quantiles([took for run in runs for took in run.took], n=1000)
    return {
        "requests_per_s": statistics.median(run.rate for run in runs),
        "p50_ms": q[499] * 1e3,
        "p99_ms": q[989] * 1e3,
        "cpu_us": statistics.median(cost),
        "errors": sum(run.errors for run in runs),
    }


def measure(cases: Sequence[Case], names: Sequence[str], slices: int, seconds: float) -> dict[str, dict[str, float]]:
    """By `case | server`."""
    results: dict[str, dict[str, float]] = {}
    for kind, workers in dict.fromkeys((case.kind, case.workers) for case in cases):
        chosen = [case for case in cases if (case.kind, case.workers) == (kind, workers)]
        with servers(kind, workers, {case.rows for case in chosen}, names) as found:
            for case in chosen:
                print(f"… {case.name}", file=sys.stderr, flush=True)
                for name, figures in compare(found, case, slices, seconds).items():
                    results[f"{case.name} | {name}"] = figures
            for name, server in found.items():
                start = {"cold_s": server.cold, "rss_mb": _rss(server.processes)}
                results[f"{kind.name}, start, {workers} | {name}"] = start
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slice")
    parser.add_argument("--only", nargs="+", metavar="TEXT", default=[""], help="cases whose name holds one of these")
    parser.add_argument(
        "--without", nargs="+", choices=sorted([ITSELF, *PEERS]), default=[], help="servers to leave out"
    )
    parser.add_argument(
        "--peers", nargs="+", choices=sorted(OWN), default=[], help="servers that people have, beside these"
    )
    options = parser.parse_args()
    cases = [case for case in CASES if any(text in case.name for text in options.only)]
    if not cases:
        parser.error("no such case; there are: " + "; ".join(case.name for case in CASES))
    names = [OURS, *(name for name in (ITSELF, *PEERS) if name not in options.without), *options.peers]
    results = measure(cases, names, options.slices, options.seconds)
    for name, figures in results.items():
        print(f"{name:44}", "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
