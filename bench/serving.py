"""Our server with every duty on, against a bare uvicorn + ONNX Runtime handler without any: `python bench/serving.py`.

One-row JSON of 30 numbers, the same model, one worker each. Slices alternate, so that a noisy machine is noisy to both;
the ratio is taken slice by slice and its median reported. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

COLUMNS = 30
#: Name -> (port, process, request).
Servers = Mapping[str, tuple[int, int, bytes]]

BARE = """
import sys, msgspec, numpy as np, onnxruntime as ort
class Body(msgspec.Struct):
    rows: list[list[float]]
o = ort.SessionOptions(); o.intra_op_num_threads = 1; o.inter_op_num_threads = 1
o.add_session_config_entry("session.intra_op.allow_spinning", "0")
run = ort.InferenceSession(sys.argv[1], o, providers=["CPUExecutionProvider"]).run
decode = msgspec.json.Decoder(Body).decode; encode = msgspec.json.encode
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body = b""
    while True:
        m = await receive()
        body += m.get("body", b"")
        if not m.get("more_body"):
            break
    p = run(["probabilities"], {"X": np.array(decode(body).rows, np.float32)})[0]
    out = encode({"predictions": p.tolist()})
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(out)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": out})
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False, log_level="error",
            lifespan="off")
"""


def request(path: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def whole(answer: bytes) -> bool:
    """Whether head and body have arrived."""
    head, found, body = answer.partition(b"\r\n\r\n")
    at = head.find(b"content-length: ")
    return bool(found) and at >= 0 and len(body) >= int(head[at + 16 :].partition(b"\r\n")[0])


def load(port: int, message: bytes, connections: int, seconds: float) -> tuple[float, list[float], int]:
    """Closed loop: a connection sends its next request when it has its answer. (requests/s, seconds each, errors)."""
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    sent: dict[int, float] = {}
    for _ in range(connections):
        s = socket.create_connection(("127.0.0.1", port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[s.fileno()] = s
        poll.register(s.fileno(), select.EPOLLIN)
    took: list[float] = []
    parts: dict[int, bytes] = {}
    errors = 0
    clock = time.perf_counter
    begin = clock()
    for number, s in sockets.items():
        sent[number] = clock()
        s.send(message)
    end = begin + seconds
    while clock() < end:
        for number, _ in poll.poll(0.5):
            s = sockets[number]
            data = s.recv(65536)
            if not data:
                raise RuntimeError("the server closed a connection")
            answer = parts.pop(number, b"") + data
            if not whole(answer):
                parts[number] = answer
                continue
            now = clock()
            errors += not answer.startswith(b"HTTP/1.1 200")
            took.append(now - sent[number])
            sent[number] = now
            s.send(message)
    spent = clock() - begin
    for s in sockets.values():
        s.close()
    return len(took) / spent, took, errors


@contextmanager
def bare(model: Path) -> Iterator[tuple[int, int, float]]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(model), str(port)])
    try:
        cold = _until_open(port, started)
        yield port, process.pid, cold
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ours(workspace: Workspace) -> Iterator[tuple[int, int, float]]:
    started = time.perf_counter()
    supervisor = Supervisor(workspace, port=0)
    supervisor.start()
    try:
        yield supervisor.port, supervisor.processes()[0], time.perf_counter() - started
    finally:
        supervisor.stop()


def _until_open(port: int, started: float) -> float:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return time.perf_counter() - started


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(slices: int, seconds: float) -> dict[str, dict[str, float]]:
    import serving_case as case

    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        agreed = case.contract(inputs=case.numbers(COLUMNS))
        built = case.build(root, agreed, case.gradient_boosting(COLUMNS, trees=100))
        case.release(built)
        row = {f"f{i}": round(0.1234 * i - 1, 4) for i in range(COLUMNS)}
        model = built.folder / "model.onnx"
        plain = request("/", json.dumps({"rows": [list(row.values())]}).encode())
        named = request(f"/models/{agreed.name}/predict", json.dumps({"rows": [row]}).encode())
        results: dict[str, dict[str, float]] = {}
        with bare(model) as (bare_port, bare_pid, bare_cold), ours(built.workspace) as (our_port, our_pid, our_cold):
            servers = {"bare": (bare_port, bare_pid, plain), "modelmark": (our_port, our_pid, named)}
            for connections in (64, 1):
                _compare(servers, connections, slices, seconds, results)
            results["start"] = {"bare_s": bare_cold, "modelmark_s": our_cold}
            results["rss_mb"] = {"bare": _rss(bare_pid), "modelmark": _rss(our_pid)}
        return results


def _compare(
    servers: Servers, connections: int, slices: int, seconds: float, results: dict[str, dict[str, float]]
) -> None:
    rates: dict[str, list[float]] = {name: [] for name in servers}
    took: dict[str, list[float]] = {name: [] for name in servers}
    cost: dict[str, list[float]] = {name: [] for name in servers}
    wrong = dict.fromkeys(servers, 0)
    for port, _, message in servers.values():
        load(port, message, connections, 0.5)
    for turn in range(slices):
        for name in sorted(servers, reverse=bool(turn % 2)):
            port, pid, message = servers[name]
            before = _cpu(pid)
            rate, times, errors = load(port, message, connections, seconds)
            cost[name].append((_cpu(pid) - before) / max(len(times), 1) * 1e6)
            rates[name].append(rate)
            took[name] += times
            wrong[name] += errors
    for name in servers:
        q = statistics.quantiles(took[name], n=1000)
        results[f"{name} @ {connections}"] = {
            "requests_per_s": statistics.median(rates[name]),
            "p50_ms": q[499] * 1e3,
            "p99_ms": q[989] * 1e3,
            "cpu_us": statistics.median(cost[name]),
            "errors": wrong[name],
        }
    ratios = [a / b for a, b in zip(rates["modelmark"], rates["bare"], strict=True)]
    cpu = [a / b for a, b in zip(cost["bare"], cost["modelmark"], strict=True)]
    results[f"ratio @ {connections}"] = {"requests": statistics.median(ratios), "cpu": statistics.median(cpu)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    results = measure(options.slices, options.seconds)
    for name, figures in results.items():
        print(f"{name:16}", "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
