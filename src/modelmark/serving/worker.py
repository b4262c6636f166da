"""One worker process: `python -m modelmark.serving.worker --workspace W --port N`.

It needs the workspace's snapshot, public key, version folders and a place for its journal; nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, cast

import uvloop

from modelmark.domain.alerts.recording import end_journal_fault, tell_journal_fault
from modelmark.domain.alerts.unserved import tell_unserved
from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.arms_now import end_arms
from modelmark.domain.endpoint.cache_now import tell_cache_off
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Sync
from modelmark.seal.public import OneKey
from modelmark.serving import plugins
from modelmark.serving.background import Work, go_on
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.crew.load import Loads
from modelmark.serving.descriptors import connections
from modelmark.serving.entry.tls import Tls, TlsFiles
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.heartbeat import beat, is_supervised
from modelmark.serving.http.connection import Connection
from modelmark.serving.http.edge import Edge
from modelmark.serving.http.framing import Limits
from modelmark.serving.http.listener import Listener
from modelmark.serving.http.listening import bind, host_names
from modelmark.serving.http.service import Service
from modelmark.serving.memory import give_back, settle
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import load_candidate
from modelmark.serving.runtime import POLL, Runtime
from modelmark.serving.telling import tell
from modelmark.serving.timing.timing import Traces
from modelmark.serving.wire import installed

#: How long a drained worker still answers on open connections, and how long it waits for answers in the making.
NOTICE = 0.3
GRACE = 25.0
#: A connection that was quiet for so long is taken to have no request on its way.
QUIET = 0.5
#: An event loop that has not turned for so long never will; the supervisor replaces the worker when it hears no more of it.
HUNG = 20.0
#: How often a worker whose journal failed looks for room, and how long it says at least that it is not ready.
JOURNAL_NOTICE = 2.0


#: Loaded only when a port for it is given: it is heavy, and may not be installed.
GRPC: Final = "modelmark.serving.grpc.server:GrpcServer"
#: Loaded only where traces are wanted.
TRACER: Final = "modelmark.serving.timing.tracing:Tracer"


class Transport(Protocol):
    """A way in beside HTTP."""

    async def start(self) -> int:
        """Listen; the port."""
        ...

    async def drain(self, grace: float) -> None:
        """Take nothing new, and finish what is in the making within so many seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """candidate: serve this version folder alone, unmarked, outside all traffic (staging). public_key: as the supervisor
    read it; empty: this process reads it. released: there has been a release, so nobody is answered before it is read. metrics:
    the folder in `run/metrics` that the workers of one supervisor share. mlflow_model: the one that answers at /invocations.
    kserve_v1: /v1/models is KServe's. require_keys: nobody is answered without one. elsewhere:
    others than this machine may reach us, as the supervisor allows. any_name: the Host header may name anything.
    follows: the number of workers follows the load. cache_mb: of answers that may be given again.
    trace: where traces go; trace_percent: of requests whose caller says nothing of a trace."""

    workspace: Path
    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int | None = None
    sync: Sync = Sync.INTERVAL
    sync_ms: float = 50.0
    seal_after: float = 2.0
    max_requests: int = 1024
    max_queue_bytes: int = 64 * 1024 * 1024
    candidate: Path | None = None
    candidate_id: Digest | None = None
    public_key: str = ""
    released: bool = False
    metrics: str = "alone"
    mlflow_model: str | None = None
    kserve_v1: bool = False
    require_keys: bool = False
    elsewhere: bool = False
    any_name: bool = False
    follows: bool = False
    cache_mb: int = 0
    trace: str | None = None
    trace_percent: int = 100
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None

    def protocols(self, pool: Explanations | None = None) -> dict[str, dict[str, Any]]:
        """What was set for each, by name. pool: what explains; None: nobody does."""
        return {
            "mlflow": {"model": self.mlflow_model},
            "explain": {"pool": pool},
            "kserve": {"chosen": self.kserve_v1, "pool": pool},
            "openapi": {"kserve": self.kserve_v1, "mlflow_model": self.mlflow_model},
        }


class Turning:
    """Whether the event loop still turns."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    async def turn(self) -> None:
        """Runs until cancelled."""
        while True:
            self._at = time.monotonic()
            await asyncio.sleep(1.0)

    def lives(self) -> bool:
        """From another thread."""
        return time.monotonic() - self._at < HUNG


async def run(options: Options) -> None:
    """Serve until SIGTERM, SIGINT or the end of standard input (the supervisor has gone), then drain."""
    workspace = Workspace(options.workspace)
    metrics = Metrics(workspace.runtime / "metrics" / options.metrics)
    writer = RenewedWriter(workspace.wal, sync=options.sync, sync_ms=options.sync_ms, seal_after=options.seal_after)
    try:
        await _serve(options, workspace, metrics, writer)
    finally:
        end_journal_fault(workspace, writer.id)
        tell_unserved(workspace, writer.id, ())
        tell_cache_off(workspace, writer.id, ())
        end_arms(workspace, writer.id)
        writer.close()


async def _serve(options: Options, workspace: Workspace, metrics: Metrics, writer: RenewedWriter) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    turning = Turning()
    tasks = [loop.create_task(go_on("turning", turning.turn, metrics))]
    traces = _traces(options, metrics)
    key = OneKey(workspace.keys, options.public_key)
    runtime = _runtime(options, workspace, metrics, writer, key, traces)
    files = TlsFiles.of(options.tls_cert, options.tls_key, options.tls_client_ca)
    tls = None if files is None else Tls(files)
    loads = Loads(runtime.batcher.look)
    beat(turning.lives, loads if options.follows else str)
    staged = options.candidate is not None
    pool = None if staged else Explanations(workspace.root, key)
    service = Service(runtime, installed(options.protocols(pool)))
    extra = b"x-modelmark-staged: true\r\n" if staged else b""
    extra += b"strict-transport-security: max-age=31536000\r\n" if tls else b""
    limits = Limits(connections=connections(Limits().connections))
    hosts = None if options.any_name else host_names(options.host)
    edge = Edge(service, metrics, hosts=hosts, limits=limits, loop=loop, extra=extra)
    _watch_parent(loop, stop, edge)
    if options.candidate is not None and options.candidate_id is not None:
        runtime.serve_only(load_candidate(options.candidate, options.candidate_id))
    else:
        await _read_release(runtime, stop, released=options.released)
    if stop.is_set():
        return
    listening = bind(options.host, options.port, elsewhere=options.elsewhere)
    listener = Listener(listening, partial(Connection, edge), metrics, loop, edge.has_room, tls)
    listener.start()
    beside = await _grpc(runtime, options, tls)
    settle()
    kept: dict[str, Work] = {
        "deadlines": edge.sweep,
        "upkeep": runtime.tick,
        "memory": partial(give_back, lambda: len(edge.connections)),
        "journal": partial(_keep_journal, writer, workspace),
    }
    if options.follows:
        kept["load"] = loads.watch
    if tls is not None:
        kept["certificates"], runtime.health.also = tls.follow, tls.problem
    if not staged:
        kept["snapshot"] = runtime.follow
    tasks += [loop.create_task(go_on(name, work, metrics)) for name, work in kept.items()]
    _say(f"ready {listener.port}")
    await stop.wait()
    await _end(runtime, edge, listener, beside)
    for task in tasks:
        task.cancel()
    if pool is not None:
        pool.close()
    runtime.tidy()
    if traces is not None:
        await asyncio.to_thread(traces.close)


def _runtime(
    options: Options,
    workspace: Workspace,
    metrics: Metrics,
    writer: RenewedWriter,
    key: OneKey,
    traces: Traces | None,
) -> Runtime:
    redis = os.environ.get("MODELMARK_CACHE_REDIS")  # no argument: it may hold a password
    return Runtime(
        workspace,
        writer,
        metrics,
        verifier=key,
        key_problem=key.problem,
        max_requests=options.max_requests,
        max_queue_bytes=options.max_queue_bytes,
        require_keys=options.require_keys,
        cache_bytes=options.cache_mb * 1024 * 1024,
        shared_cache=SharedCache(redis) if redis else None,
        traces=traces,
    )


async def _end(runtime: Runtime, edge: Edge, listener: Listener, beside: list[Transport]) -> None:
    """Every way in drains; what fails in one holds up no other."""
    ends = [_drain(runtime, edge, listener), *(_drain_beside(transport) for transport in beside)]
    for problem in await asyncio.gather(*ends, return_exceptions=True):
        if isinstance(problem, Exception):
            runtime.metrics.failed("drain", problem)


def _traces(options: Options, metrics: Metrics) -> Traces | None:
    if options.trace is None:
        return None
    return cast(Traces, plugins.load("traces", TRACER)(options.trace, metrics, share=options.trace_percent / 100))


async def _read_release(runtime: Runtime, stop: asyncio.Event, *, released: bool) -> None:
    """Read what was released, before anybody can ask: a worker that knows no model would deny all that others serve. Where
    nothing has ever been released, there is nothing to wait for. released: something has been, though no file says so."""
    await runtime.refresh()
    if runtime.health.sequence < 0 and (released or runtime.released):
        _say("waiting")
    while runtime.health.sequence < 0 and (released or runtime.released) and not stop.is_set():
        await asyncio.sleep(POLL)
        await runtime.refresh()


async def _grpc(runtime: Runtime, options: Options, tls: Tls | None) -> list[Transport]:
    if options.grpc_port is None:
        return []
    kind = plugins.load("grpc", GRPC)
    limits: dict[str, Any] = {
        "ages": options.follows,
        "max_message": options.max_queue_bytes,
        "max_calls": options.max_requests,
    }
    transport = cast(Transport, kind(runtime, host=options.host, port=options.grpc_port, tls=tls, **limits))
    await transport.start()
    return [transport]


async def _drain_beside(transport: Transport) -> None:
    await asyncio.sleep(NOTICE)
    await transport.drain(GRACE)


async def _keep_journal(writer: RenewedWriter, workspace: Workspace) -> None:
    """While the disk takes no records the worker stays, is not ready and refuses; once there is room it answers again. The steward
    and the pages are told meanwhile, for nothing of it can be recorded."""
    while True:
        await asyncio.sleep(0.2)
        if writer.failure is None:
            continue
        tell(f"the journal failed: {writer.failure}; nothing is answered")
        taken = False
        while not taken:
            tell_journal_fault(workspace, writer.id, writer.failure or "")
            await asyncio.sleep(JOURNAL_NOTICE)
            taken = await asyncio.to_thread(writer.renew)
        end_journal_fault(workspace, writer.id)
        tell("the journal takes records again")


async def _drain(runtime: Runtime, edge: Edge, listener: Listener) -> None:
    """Say not ready, keep answering for a moment, stop listening, finish what is in the making."""
    loop = asyncio.get_running_loop()
    runtime.health.draining = True
    edge.drain()
    await asyncio.sleep(NOTICE)
    listener.close()
    until = loop.time() + GRACE
    while (edge.connections or listener.coming) and loop.time() < until:
        edge.close_idle(QUIET)
        await asyncio.sleep(0.05)
    edge.abort_all()


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, edge: Edge) -> None:
    """The supervisor holds the other end of standard input; when it dies, so do we, in good order. What it writes there is which
    part of our connections should come anew, since another worker listens."""
    if not is_supervised():
        return

    def heard() -> None:
        said = os.read(0, 4096)
        if not said:
            loop.remove_reader(0)
            stop.set()
        for line in said.splitlines():
            word, _, share = line.partition(b" ")
            if word == b"spread":
                edge.spread(float(share))

    loop.add_reader(0, heard)


def _say(line: str) -> None:
    """A line to whoever started us; they may have gone."""
    with contextlib.suppress(OSError, ValueError):
        print(line, flush=True)  # noqa: T201


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="modelmark.serving.worker")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--grpc-port", type=int)
    parser.add_argument("--sync", type=Sync, default=Sync.INTERVAL)
    parser.add_argument("--sync-ms", type=float, default=50.0)
    parser.add_argument("--seal-after", type=float, default=2.0)
    parser.add_argument("--max-requests", type=int, default=1024)
    parser.add_argument("--max-queue-bytes", type=int, default=64 * 1024 * 1024)
    parser.add_argument("--candidate", type=Path)
    parser.add_argument("--candidate-id", type=Digest)
    parser.add_argument("--public-key", default="")
    parser.add_argument("--released", action="store_true")
    parser.add_argument("--metrics", default="alone")
    parser.add_argument("--mlflow-model")
    parser.add_argument("--kserve-v1", action="store_true")
    parser.add_argument("--require-keys", action="store_true")
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--any-name", action="store_true")
    parser.add_argument("--follows", action="store_true")
    parser.add_argument("--cache-mb", type=int, default=0)
    parser.add_argument("--trace")
    parser.add_argument("--trace-percent", type=int, default=100)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--tls-client-ca", type=Path)
    found = vars(parser.parse_args(arguments))
    for name in ("workspace", "candidate"):
        found[name] = found[name].resolve() if found[name] else None
    options = Options(**found)
    os.umask(os.umask(0o022) | 0o022)
    with tempfile.TemporaryDirectory(prefix="modelmark-empty-") as empty, contextlib.chdir(empty):
        os.chmod(empty, 0o500)  # nothing lies beside us that a model could name
        try:
            uvloop.run(run(options))
        except ModelmarkError as error:
            tell(f"worker: {error.message}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
