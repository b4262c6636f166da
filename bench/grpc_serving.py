"""Our gRPC endpoint with every duty on, beside a bare grpc.aio handler over the same graph: `python bench/grpc_serving.py`.

Rows of 30 numbers, one tensor a column; 1 and 32 of them; 1, 16 and 64 calls outstanding, from a process of its own. Both
answer the same probabilities, which is checked first. Slices alternate, ratios are taken slice by slice and their median
reported. Prints a table and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import msgspec
import numpy as np
from _scratch import scratch_folder
from serving import NUMBERS, ROOT, _cpu, _families, _free_port

from modelmark.serving.grpc.generated import open_inference_pb2 as pb
from modelmark.serving.supervisor import Supervisor

METHOD = "/inference.GRPCInferenceService/ModelInfer"
BODIES = 64
CASES = [(1, 64), (1, 16), (1, 1), (32, 16)]
OURS, BARE = "modelmark", "bare grpc.aio"


def messages(rows: int) -> list[bytes]:
    draw = np.random.default_rng(3)
    found = []
    for _ in range(BODIES):
        table = np.array(NUMBERS.rows(rows, draw), float)
        request = pb.ModelInferRequest(model_name="churn")
        for at, (name, _) in enumerate(NUMBERS.columns):
            tensor = request.inputs.add(name=name, datatype="FP64", shape=[rows])
            tensor.contents.fp64_contents.extend(table[:, at].tolist())
        found.append(request.SerializeToString())
    return found


@contextmanager
def ours(root: Path, graph: bytes) -> Iterator[tuple[int, list[int]]]:
    import serving_case as case

    built = case.build(root, case.contract(inputs=NUMBERS.inputs()), graph, signature=NUMBERS.signature())
    case.release(built)
    supervisor = Supervisor(built.workspace, port=0, grpc_port=0)
    supervisor.start()
    try:
        yield int(str(supervisor.grpc_address).rpartition(":")[2]), _families(supervisor.processes())
    finally:
        supervisor.stop()


@contextmanager
def bare(graph: Path) -> Iterator[tuple[int, list[int]]]:
    port = _free_port()
    feeds = [{"name": "X", "low": 0, "high": NUMBERS.numbers, "text": False}]
    asked = {
        "graph": str(graph), "estimator": "", "columns": NUMBERS.columns, "feeds": feeds, "output": "probabilities",
    }  # fmt: skip
    environment = {**os.environ, "BENCH_ASKED": msgspec.json.encode(asked).decode()}
    command = [sys.executable, str(ROOT / "bench" / "peers" / "_grpc_bare.py"), str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("the bare server did not start")
        yield port, [process.pid]
    finally:
        process.terminate()
        process.wait()


def scores(port: int, message: bytes) -> np.ndarray:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        reply = pb.ModelInferResponse.FromString(channel.unary_unary(METHOD)(message))
    told = next(one for one in reply.outputs if one.name == "probabilities")
    at = list(reply.outputs).index(told)
    raw = reply.raw_output_contents
    values = np.frombuffer(raw[at]) if raw else np.array(told.contents.fp64_contents)
    return values.reshape(tuple(told.shape))


def load(port: int, sent: list[bytes], outstanding: int, seconds: float) -> dict[str, Any]:
    """In a process of its own: {rate, p50, p99, errors}."""
    command = [sys.executable, __file__, "--load", json.dumps([port, outstanding, seconds, [m.hex() for m in sent]])]
    done = subprocess.run([*command[:3], "-"], input=command[3], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def drive(port: int, outstanding: int, seconds: float, sent: list[bytes]) -> dict[str, float]:
    import asyncio

    took: list[float] = []
    errors = 0

    async def caller(channel: Any, at: int, until: float) -> None:
        nonlocal errors
        ask = channel.unary_unary(METHOD)
        while (started := time.perf_counter()) < until:
            try:
                await ask(sent[at % len(sent)])
            except grpc.aio.AioRpcError:
                errors += 1
            took.append(time.perf_counter() - started)
            at += outstanding

    async def all_of_them() -> float:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            started = time.perf_counter()
            await asyncio.gather(*(caller(channel, at, started + seconds) for at in range(outstanding)))
            return time.perf_counter() - started

    lasted = asyncio.run(all_of_them())
    q = statistics.quantiles(took, n=100)
    return {"rate": len(took) / lasted, "p50_ms": q[49] * 1e3, "p99_ms": q[98] * 1e3, "errors": errors}


def measure(slices: int, seconds: float, cases: list[tuple[int, int]]) -> dict[str, dict[str, float]]:
    results: dict[str, dict[str, float]] = {}
    with scratch_folder() as scratch, ExitStack() as opened:
        root = Path(scratch)
        graph, _ = NUMBERS.make(root)
        (root / "model.onnx").write_bytes(graph)
        servers = {
            OURS: opened.enter_context(ours(root / "w", graph)),
            BARE: opened.enter_context(bare(root / "model.onnx")),
        }
        first = messages(2)[0]
        if not np.allclose(scores(servers[OURS][0], first), scores(servers[BARE][0], first), atol=1e-4):
            raise RuntimeError("the two answer differently")
        for rows, outstanding in cases:
            sent = messages(rows)
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
            for turn in range(slices):
                for name in sorted(servers, reverse=bool(turn % 2)):
                    port, processes = servers[name]
                    before = _cpu(processes)
                    run = load(port, sent, outstanding, seconds)
                    run["cpu_us"] = (_cpu(processes) - before) / (run["rate"] * seconds) * 1e6
                    runs[name].append(run)
            for name, found in runs.items():
                figures = {key: statistics.median(run[key] for run in found) for key in found[0]}
                pairs = zip(found, runs[BARE], strict=True)
                figures["x_bare"] = statistics.median(mine["rate"] / other["rate"] for mine, other in pairs)
                results[f"{rows} rows @ {outstanding} | {name}"] = figures
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a slice")
    parser.add_argument("--cases", type=int, default=len(CASES), help="how many of the cases")
    parser.add_argument("--load", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        port, outstanding, seconds, sent = json.load(sys.stdin)
        print(json.dumps(drive(port, outstanding, seconds, [bytes.fromhex(m) for m in sent])))
        return
    results = measure(options.slices, options.seconds, CASES[: options.cases])
    for name, figures in results.items():
        print(f"{name:36}", "  ".join(f"{key} {value:,.2f}" for key, value in figures.items()))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
