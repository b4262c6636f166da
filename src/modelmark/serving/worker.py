"""One worker process: `python -m modelmark.serving.worker --workspace W --port N`.

It needs the workspace's snapshot, public key, version folders and a place for its journal; nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import uvloop

from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Sync
from modelmark.seal.public import OneKey
from modelmark.serving import plugins
from modelmark.serving.http.edge import Edge
from modelmark.serving.http.framing import Limits
from modelmark.serving.http.listening import bind, host_names
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.models import load_candidate
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import installed

#: How long a drained worker still answers on open connections, and how long it waits for answers in the making.
NOTICE = 0.3
GRACE = 25.0
#: A connection that was quiet for so long is taken to have no request on its way.
QUIET = 0.5
#: How often a worker whose journal failed looks for room, and how long it says at least that it is not ready.
JOURNAL_NOTICE = 2.0


#: Loaded only when a port for it is given: it is heavy, and may not be installed.
GRPC: Final = "modelmark.serving.grpc.server:GrpcServer"


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
    read it; empty: this process reads it. metrics: the folder in `run/metrics` that the workers of one supervisor share."""

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
    metrics: str = "alone"


async def run(options: Options) -> None:
    """Serve until SIGTERM, SIGINT or the end of standard input (the supervisor has gone), then drain."""
    loop = asyncio.get_running_loop()
    workspace = Workspace(options.workspace)
    metrics = Metrics(workspace.runtime / "metrics" / options.metrics)
    key = OneKey(workspace.keys, options.public_key)
    writer = RenewedWriter(workspace.wal, sync=options.sync, sync_ms=options.sync_ms, seal_after=options.seal_after)
    runtime = Runtime(
        workspace,
        writer,
        metrics,
        verifier=key,
        key_problem=key.problem,
        max_requests=options.max_requests,
        max_queue_bytes=options.max_queue_bytes,
    )
    service = Service(runtime, installed())
    staged = options.candidate is not None
    extra = b"x-modelmark-staged: true\r\n" if staged else b""
    edge = Edge(service, metrics, hosts=host_names(options.host), limits=Limits(), loop=loop, extra=extra)
    if options.candidate is not None and options.candidate_id is not None:
        runtime.serve_only(load_candidate(options.candidate, options.candidate_id))
    else:
        await runtime.refresh()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    _watch_parent(loop, stop)
    listener = bind(options.host, options.port)
    server = await loop.create_server(edge.protocol, sock=listener, backlog=1024)
    beside = await _grpc(runtime, options)
    _freeze()
    tasks = [loop.create_task(edge.sweep()), loop.create_task(runtime.tick())]
    tasks.append(loop.create_task(_keep_journal(writer)))
    if not staged:
        tasks.append(loop.create_task(runtime.follow()))
    _watch_tasks(tasks, stop)
    print(f"ready {listener.getsockname()[1]}", flush=True)  # noqa: T201
    await stop.wait()
    await asyncio.gather(_drain(runtime, edge, server, listener), *(_drain_beside(transport) for transport in beside))
    for task in tasks:
        task.cancel()
    runtime.tidy()
    await asyncio.to_thread(writer.close)


async def _grpc(runtime: Runtime, options: Options) -> list[Transport]:
    if options.grpc_port is None:
        return []
    kind = plugins.load("grpc", GRPC)
    limits = {"max_message": options.max_queue_bytes, "max_calls": options.max_requests}
    transport = cast(Transport, kind(runtime, host=options.host, port=options.grpc_port, **limits))
    await transport.start()
    return [transport]


async def _drain_beside(transport: Transport) -> None:
    await asyncio.sleep(NOTICE)
    await transport.drain(GRACE)


async def _keep_journal(writer: RenewedWriter) -> None:
    """While the disk takes no records the worker stays, is not ready and refuses; once there is room it answers again."""
    while True:
        await asyncio.sleep(0.2)
        if writer.failure is None:
            continue
        print(one_line(f"the journal failed: {writer.failure}; nothing is answered"), file=sys.stderr, flush=True)  # noqa: T201
        await asyncio.sleep(JOURNAL_NOTICE)
        while not await asyncio.to_thread(writer.renew):
            await asyncio.sleep(JOURNAL_NOTICE)
        print("the journal takes records again", file=sys.stderr, flush=True)  # noqa: T201


async def _drain(runtime: Runtime, edge: Edge, server: asyncio.AbstractServer, listener: socket.socket) -> None:
    """Say not ready, keep answering for a moment, stop listening, finish what is in the making."""
    runtime.health.draining = True
    edge.drain()
    await asyncio.sleep(NOTICE)
    last = listener.dup()  # keeps the port open while the loop lets go of its own copy, at its leisure
    server.close()
    await asyncio.sleep(0.02)
    for connection in _accept_all(last):
        await asyncio.get_running_loop().connect_accepted_socket(edge.protocol, connection)
    until = asyncio.get_running_loop().time() + GRACE
    while edge.connections and asyncio.get_running_loop().time() < until:
        edge.close_idle(QUIET)
        await asyncio.sleep(0.05)
    edge.abort_all()


def _accept_all(listener: socket.socket) -> list[socket.socket]:
    """Take what the kernel has accepted and nobody has taken yet, then close at once: what is left is reset."""
    found: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # nothing more waits
            listener.close()
            return found
        connection.setblocking(False)
        found.append(connection)


def _freeze() -> None:
    """What is loaded stays: keep the collector from walking over it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The supervisor holds the other end of standard input; when it dies, so do we, in good order."""
    if not os.environ.get("MODELMARK_SUPERVISED"):
        return

    def gone() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, gone)


def _watch_tasks(tasks: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    """A background task that dies ends the worker: better replaced than half alive."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            print(one_line(f"a background task failed: {task.exception()!r}"), file=sys.stderr, flush=True)  # noqa: T201
            stop.set()

    for task in tasks:
        task.add_done_callback(ended)


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
    parser.add_argument("--metrics", default="alone")
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
            print(one_line(f"worker: {error.message}"), file=sys.stderr, flush=True)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
