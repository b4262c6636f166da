"""Keeps N workers on one port: starts them, replaces the dead, passes the end on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from modelmark.domain.errors import Conflict, Missing, NotYet, Tampered
from modelmark.domain.printable import one_line
from modelmark.domain.workspace import Workspace
from modelmark.seal.public import OneKey, packed
from modelmark.serving.http.listening import require_loopback, reserve
from modelmark.serving.shared_folder import SharedFolder

#: A worker that lived less than this crashed at its start; the next one waits.
SETTLED: Final = 5.0
MAX_DELAY: Final = 5.0
GRACE: Final = 30.0
START: Final = 30.0


class Worker:
    """One process and what is known of it."""

    def __init__(
        self,
        command: list[str],
        on_ready: Callable[[str], None] = lambda _: None,
        more: Callable[[], list[str]] = list,
    ) -> None:
        """on_ready is told each line that begins with `ready`. more: arguments that are asked for at each start."""
        self._command, self._more = command, more
        self._on_ready = on_ready
        self.process: subprocess.Popen[str] | None = None
        self.ready = threading.Event()
        self.started_at = 0.0
        self.delay = 0.0
        self.due_at = 0.0

    def start(self) -> None:
        environment = {**os.environ, "MODELMARK_SUPERVISED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.ready.clear()
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [*self._command, *self._more()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        if process.stdout is None:
            return
        for line in process.stdout:
            if line.startswith("ready"):
                self._on_ready(line.rstrip())
                self.ready.set()
        process.stdout.close()

    def revive(self, now: float) -> None:
        """Replace a dead process: at once when it had been well, ever later when it crashes at its start."""
        process = self.process
        if process is None:
            if now >= self.due_at:
                self.start()
            return
        status = process.poll()
        if status is None:
            return
        settled = now - self.started_at >= SETTLED or self.ready.is_set()
        self.delay = 0.0 if settled else min(max(0.1, 2 * self.delay), MAX_DELAY)
        self.due_at = now + self.delay
        told = one_line(f"worker {process.pid} ended ({status}); replaced in {self.delay:.1f} s")
        print(told, file=sys.stderr, flush=True)  # noqa: T201
        if process.stdin is not None:
            process.stdin.close()
        self.process = None
        self.revive(now)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def join(self, until: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


class Supervisor:
    """Workers on one port of loopback."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        grpc_port: int | None = None,
        workers: int = 1,
        worker_options: tuple[str, ...] = (),
    ) -> None:
        """A port of 0 picks a free one; grpc_port None: no gRPC. worker_options: further arguments for `serving.worker`.

        Raises NotPermitted for a host that is not loopback, Conflict when the port is taken, Tampered for a public key that
        is none. The key is read once: what becomes of its file later changes nothing.
        """
        self._key = OneKey(workspace.keys)
        with suppress(Missing):  # before the first release there is none
            self._key()
        self._socket = reserve(host, port)
        try:
            self._grpc_socket = None if grpc_port is None else reserve(host, grpc_port)
        except Conflict:
            self._socket.close()
            raise
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self.grpc_port: int | None = None if self._grpc_socket is None else self._grpc_socket.getsockname()[1]
        self._shared = SharedFolder(workspace.runtime / "metrics")
        command = [sys.executable, "-m", "modelmark.serving.worker", "--workspace", str(workspace.root.resolve())]
        command += ["--host", host, "--port", str(self.port), "--metrics", self._shared.path.name, *worker_options]
        if self.grpc_port is not None:
            command += ["--grpc-port", str(self.grpc_port)]
        self.workers = [Worker(command, more=self._handed) for _ in range(workers)]
        self._stop = threading.Event()

    def _handed(self) -> list[str]:
        """The key for a worker that starts, once there is one."""
        try:
            return [f"--public-key={packed(self._key())}"]  # it may begin with a dash
        except (Missing, Tampered):
            return []

    @property
    def address(self) -> str:
        return f"http://{self._host}:{self.port}"

    @property
    def grpc_address(self) -> str | None:
        """HOST:PORT of the gRPC service; None without one."""
        return None if self.grpc_port is None else f"{self._host}:{self.grpc_port}"

    @property
    def _host(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    def processes(self) -> tuple[int, ...]:
        """The ids of the workers that live now."""
        return tuple(w.process.pid for w in self.workers if w.process is not None and w.process.poll() is None)

    def start(self, timeout: float = START) -> None:
        """Returns when every worker listens. Raises NotYet, everything ended, when one does not."""
        for worker in self.workers:
            worker.start()
        until = time.monotonic() + timeout
        for worker in self.workers:
            while not worker.ready.wait(0.02):
                process = worker.process
                if time.monotonic() > until or (process is not None and process.poll() is not None):
                    self.stop()
                    raise NotYet("a worker did not start; its own words stand above", code="WORKER_FAILED")

    def watch(self) -> None:
        """Replace the dead until `stop` or `request_stop`."""
        while not self._stop.wait(0.05):
            now = time.monotonic()
            self._handed()  # reads the first key there is, which may come after us
            for worker in self.workers:
                worker.revive(now)

    def request_stop(self) -> None:
        """From a signal handler: `watch` returns soon."""
        self._stop.set()

    def stop(self) -> None:
        """SIGTERM to every worker; those that do not drain within the grace period are killed."""
        self._stop.set()
        for worker in self.workers:
            worker.end()
        until = time.monotonic() + GRACE
        for worker in self.workers:
            worker.join(until)
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
    workers: int = 1,
    worker_options: tuple[str, ...] = (),
    on_ready: Callable[[Supervisor], None] = lambda it: print(f"serving on {it.address}", flush=True),  # noqa: T201
) -> None:
    """Serve until SIGTERM or SIGINT. on_ready is told, with the addresses known, once every worker listens."""
    require_loopback(host)
    supervisor = Supervisor(
        workspace, host=host, port=port, grpc_port=grpc_port, workers=workers, worker_options=worker_options
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.request_stop())
    supervisor.start()
    on_ready(supervisor)
    supervisor.watch()
    supervisor.stop()


def follow_parent() -> None:
    """In a process that a `Worker` started: end in good order when whoever started us is gone, killed or not."""
    if not os.environ.get("MODELMARK_SUPERVISED"):
        return

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


@contextmanager
def running(
    workspace: Workspace,
    *,
    workers: int = 1,
    port: int = 0,
    grpc_port: int | None = None,
    worker_options: tuple[str, ...] = (),
) -> Iterator[Supervisor]:
    """A server for the length of a block, watched by a thread."""
    supervisor = Supervisor(workspace, port=port, grpc_port=grpc_port, workers=workers, worker_options=worker_options)
    supervisor.start()
    watcher = threading.Thread(target=supervisor.watch, daemon=True)
    watcher.start()
    try:
        yield supervisor
    finally:
        supervisor.request_stop()
        watcher.join()
        supervisor.stop()
