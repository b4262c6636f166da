"""Keeps N workers on one port: starts them, replaces the dead, passes the end on."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.endpoint.workers_now import end_workers, tell_workers
from modelmark.domain.errors import Missing, NotYet, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.seal.public import OneKey, packed
from modelmark.serving.child import Child, keep_alive
from modelmark.serving.crew.crew import Crew
from modelmark.serving.crew.scaling import CALM, Scaling
from modelmark.serving.entry.exposure import Exposure, is_loopback
from modelmark.serving.http.listening import reserve
from modelmark.serving.shared_folder import SharedFolder

GRACE: Final = 30.0
START: Final = 30.0
#: Once one worker listens, the others are waited for so long; and all, once each has said that it cannot believe the release.
REST: Final = 5.0
#: How long `serve` waits for a port: the workers of a supervisor that was killed let go of it.
PATIENCE: Final = 2.0
#: How often it is said how many workers there are, in seconds.
TOLD: Final = 5.0
#: Where nobody but this machine asks.
LOCAL: Final = Exposure()


class Supervisor:
    """Workers on one port."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        grpc_port: int | None = None,
        workers: int | WorkerBounds = 1,
        worker_options: tuple[str, ...] = (),
        patience: float = 0.0,
        exposure: Exposure = LOCAL,
        calm: float = CALM,
    ) -> None:
        """A port of 0 picks a free one; grpc_port None: no gRPC. workers: how many, or bounds between which they follow the load;
        calm: seconds of little to do until there is one less. worker_options: further arguments for `serving.worker`.
        patience: how long a port may be taken, in seconds.

        Raises NotPermitted for a host that `exposure` does not allow, Rejected for TLS files that are no good, Conflict when the
        port is taken, Tampered for a public key that is none. The key is read once: what becomes of its file later changes
        nothing.
        """
        self._key = OneKey(workspace.keys)
        with suppress(Missing):  # before the first release there is none
            self._key()
        exposure.require_allowed(workspace, host)
        self._tls, elsewhere = exposure.tls is not None, not is_loopback(host)
        self._shared = SharedFolder(workspace.runtime / "metrics")
        with ExitStack() as undone:
            undone.callback(self._shared.close)
            self._socket = undone.enter_context(reserve(host, port, patience, elsewhere=elsewhere))
            self._grpc_socket = None if grpc_port is None else reserve(host, grpc_port, patience, elsewhere=elsewhere)
            undone.pop_all()
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.grpc_port: int | None = None if self._grpc_socket is None else self._grpc_socket.getsockname()[1]
        self._snapshot, self._released = workspace.snapshot, False
        command = [sys.executable, "-m", "modelmark.serving.worker", "--workspace", str(workspace.root.resolve())]
        command += ["--host", host, "--port", str(self.port), "--metrics", self._shared.path.name, *worker_options]
        command += exposure.worker_options(host)
        if self.grpc_port is not None:
            command += ["--grpc-port", str(self.grpc_port)]
        bounds = WorkerBounds(workers, workers) if isinstance(workers, int) else workers
        command += ["--follows"] if bounds.follows else []
        self._command, self._workspace = command, workspace
        self.workers = [Child(command, more=self._handed) for _ in range(bounds.least)]
        self._crew = Crew(self.workers, Scaling(bounds, calm=calm), self._another)
        self._told = 0, 0.0  # how many there were, and when that was said
        self._stop = threading.Event()

    def _another(self) -> Child:
        return Child(self._command, more=self._handed)

    def _handed(self) -> list[str]:
        """What a worker that starts is told: the key, once there is one, and whether there has been a release."""
        self._released = self._released or self._snapshot.exists()
        released = ["--released"] if self._released else []
        try:
            return [*released, f"--public-key={packed(self._key())}"]  # it may begin with a dash
        except (Missing, Tampered):
            return released

    @property
    def address(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def grpc_address(self) -> str | None:
        """HOST:PORT of the gRPC service; None without one."""
        return None if self.grpc_port is None else f"{self._host}:{self.grpc_port}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def processes(self) -> tuple[int, ...]:
        """The ids of the workers that live now."""
        return tuple(w.process.pid for w in self.workers if w.process is not None and w.lives)

    def start(self, timeout: float = START) -> None:
        """Returns when every worker listens, or when one does and the others had their time: `watch` tries those again.
        Raises NotYet, everything ended, when none does."""
        for worker in self.workers:
            worker.start()
        until = time.monotonic() + timeout
        while time.monotonic() < until and not self._stop.is_set():
            waited_for = [w for w in self.workers if w.lives and not w.ready.is_set()]
            if not waited_for:
                break
            listens = len(waited_for) < len(self.workers) and any(w.ready.is_set() for w in self.workers)
            if listens or all(w.waiting.is_set() for w in waited_for):
                until = min(until, time.monotonic() + REST)
            waited_for[0].ready.wait(0.02)
        if not self._stop.is_set() and not any(w.ready.is_set() for w in self.workers):
            self.stop()
            raise NotYet("no worker started; its own words stand above", code="WORKER_FAILED")

    def watch(self) -> None:
        """Replace workers that die or stand still, until `stop` or `request_stop`."""
        keep_alive(self.workers, self._stop, 0.05, self._look)

    def _look(self) -> None:
        self._handed()  # it reads the first key there is, which may come after us
        if self._crew.follows:
            now = time.monotonic()
            self._crew.look(now)
            if len(self.workers) != self._told[0] or now - self._told[1] >= TOLD:
                self._told = len(self.workers), now
                tell_workers(self._workspace, self._shared.path.name, len(self.workers), self._crew.bounds)

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def request_stop(self) -> None:
        """From a signal handler: `watch` returns soon."""
        self._stop.set()

    def stop(self) -> None:
        """SIGTERM to every worker; those that do not drain within the grace period are killed."""
        self._stop.set()
        everybody = [*self.workers, *self._crew.leaving]
        for worker in everybody:
            worker.end()
        until = time.monotonic() + GRACE
        for worker in everybody:
            worker.join(until)
        end_workers(self._workspace, self._shared.path.name)
        self._socket.close()
        if self._grpc_socket is not None:
            self._grpc_socket.close()
        self._shared.close()


def serve(
    workspace: Workspace,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    grpc_port: int | None = None,
    workers: int | WorkerBounds = 1,
    worker_options: tuple[str, ...] = (),
    exposure: Exposure = LOCAL,
    on_ready: Callable[[Supervisor], None] = lambda it: print(f"serving on {it.address}", flush=True),  # noqa: T201
) -> None:
    """Serve until SIGTERM or SIGINT. on_ready is told, with the addresses known, once every worker listens."""
    supervisor = Supervisor(
        workspace,
        host=host,
        port=port,
        grpc_port=grpc_port,
        workers=workers,
        worker_options=worker_options,
        patience=PATIENCE,
        exposure=exposure,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.request_stop())
    supervisor.start()
    if not supervisor.stopping:
        on_ready(supervisor)
    supervisor.watch()
    supervisor.stop()


@contextmanager
def running(
    workspace: Workspace,
    *,
    workers: int | WorkerBounds = 1,
    port: int = 0,
    grpc_port: int | None = None,
    worker_options: tuple[str, ...] = (),
    host: str = "127.0.0.1",
    exposure: Exposure = LOCAL,
    calm: float = CALM,
) -> Iterator[Supervisor]:
    """A server for the length of a block, watched by a thread."""
    supervisor = Supervisor(
        workspace, host=host, port=port, grpc_port=grpc_port, workers=workers, worker_options=worker_options,
        exposure=exposure, calm=calm,
    )  # fmt: skip
    supervisor.start()
    watcher = threading.Thread(target=supervisor.watch, daemon=True)
    watcher.start()
    try:
        yield supervisor
    finally:
        supervisor.request_stop()
        watcher.join()
        supervisor.stop()
