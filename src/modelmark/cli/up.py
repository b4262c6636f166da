"""`modelmark up`: endpoint and steward as two processes, replaced when they die."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable

from modelmark.domain.settings import Settings
from modelmark.serving.supervisor import Worker


class Up:
    """The endpoint and the steward of one workspace as child processes. The dead are replaced; the end is passed on."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        base, place = [sys.executable, "-m", "modelmark"], ["--workspace", str(settings.place.root)]
        serve = ["serve", "--port", str(settings.port or _free_port()), "--workers", str(settings.workers)]
        if settings.grpc_port is not None:
            serve += ["--grpc-port", str(settings.grpc_port or _free_port())]
        watch = ["steward", "--dashboard-port", str(settings.dashboard_port or _free_port())]
        self._children = [Worker([*base, *words, *place], say) for words in (serve, watch)]
        self._stop = threading.Event()

    def run(self) -> None:
        """Until `request_stop`."""
        for child in self._children:
            child.start()
        while not self._stop.wait(0.1):
            for child in self._children:
                child.revive(time.monotonic())
        for child in self._children:  # the endpoint first, so that the steward's last checkpoint sees all of its log
            child.end()
            child.join(time.monotonic() + 35)

    def request_stop(self) -> None:
        self._stop.set()


def _free_port() -> int:
    """Picked once, so that a replaced process comes back to the same address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
