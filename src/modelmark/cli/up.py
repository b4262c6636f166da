"""`modelmark up`: endpoint and steward as two processes, replaced when they die."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from socket import socket
from typing import Final

from modelmark.cli.endpoint import exposure_of
from modelmark.domain.errors import Conflict
from modelmark.domain.settings import Settings
from modelmark.serving.child import Child, keep_alive
from modelmark.serving.entry.exposure import is_loopback
from modelmark.serving.http.listening import reserve
from modelmark.serving.supervisor import PATIENCE

#: Seconds for which the steward, which loads much, leaves the processors to an endpoint that starts.
HEAD_START: Final = 3.0
#: Settings that the command line may have given and the endpoint must know, beside its ports.
HANDED_ON: Final = (
    "host",
    "cache_mb",
    "trace",
    "trace_percent",
    "mlflow_model",
    "kserve_v1",
    "require_keys",
    "behind_proxy",
)
#: Those that name files.
FILES: Final = ("tls_cert", "tls_key", "tls_client_ca")


class Up:
    """The endpoint and the steward of one workspace as child processes. The dead are replaced; the end is passed on."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        """Raises Conflict when a port is taken, NotPermitted where strangers could ask, before anything starts. Ports are held as
        long as we live, so that a replaced process comes back to the same address."""
        root = str(settings.place.root)
        exposure_of(settings).require_allowed(settings.place, settings.host)
        self._held = _reserved(settings)
        ports = {name: held.getsockname()[1] for name, held in self._held.items()}
        watched = ports.pop("dashboard_port")
        named = {name: getattr(settings, name) for name in FILES}
        files = {name: str(path.resolve()) for name, path in named.items() if path is not None}
        chosen = {name: getattr(settings, name) for name in HANDED_ON}
        serve = json.dumps({"workspace": root, "workers": str(settings.workers), **chosen, **files, **ports})
        watch = ["steward", "--dashboard-port", str(watched), "--workspace", root]
        self._children = [
            Child([sys.executable, "-m", "modelmark.cli.endpoint", serve], say),
            # its jobs may keep the interpreter to themselves
            Child([sys.executable, "-m", "modelmark", *watch], say, silent=60.0),
        ]
        self._stop = threading.Event()

    def run(self) -> None:
        """Until `request_stop`. The endpoint has the processors to itself until it answers, or had its time."""
        endpoint, steward = self._children
        endpoint.start()
        until = time.monotonic() + HEAD_START
        while time.monotonic() < until and endpoint.lives and not endpoint.ready.is_set() and not self._stop.wait(0.02):
            pass
        if not self._stop.is_set():
            steward.start()
        keep_alive(self._children, self._stop, 0.1, lambda: None)
        for child in self._children:  # the endpoint first, so that the steward's last checkpoint sees all of its log
            child.end()
            child.join(time.monotonic() + 35)
        self.close()

    def request_stop(self) -> None:
        self._stop.set()

    def close(self) -> None:
        """Let go of the ports."""
        for held in self._held.values():
            held.close()


def dashboard_host(settings: Settings) -> str:
    """Pages are for this machine alone, wherever the endpoint listens."""
    return settings.host if is_loopback(settings.host) else "127.0.0.1"


def _reserved(settings: Settings) -> dict[str, socket]:
    """Setting -> its port, held. Raises Conflict."""
    wanted = {"port": settings.port, "grpc_port": settings.grpc_port, "dashboard_port": settings.dashboard_port}
    held: dict[str, socket] = {}
    try:
        for name, port in wanted.items():
            if port is not None:
                host = dashboard_host(settings) if name == "dashboard_port" else settings.host
                held[name] = reserve(host, port, PATIENCE, elsewhere=not is_loopback(host))
    except Conflict as error:
        for taken in held.values():
            taken.close()
        error.field = name
        raise
    return held
