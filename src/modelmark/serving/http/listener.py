"""Takes connections in. Where that is not possible just now, they wait in the kernel's queue, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from modelmark.serving.entry.tls import HANDSHAKE, Tls
from modelmark.serving.metrics import Metrics

BACKLOG: Final = 1024
#: Connections taken in one turn of the loop.
AT_ONCE: Final = 32
#: After a failure, and where there is no room, nothing is taken for so many seconds.
PAUSE: Final = 0.1


class Listener:
    """One listening socket of one event loop."""

    def __init__(
        self,
        sock: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        metrics: Metrics,
        loop: asyncio.AbstractEventLoop,
        has_room: Callable[[int], bool] = lambda coming: True,
        tls: Tls | None = None,
    ) -> None:
        """sock: bound, and not blocking. has_room: whether one more may be taken in while so many are on their way."""
        self._has_room, self._tls = has_room, tls
        self._sock, self._protocol, self._metrics, self._loop = sock, protocol, metrics, loop
        self.coming: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def port(self) -> int:
        return int(self._sock.getsockname()[1])

    def start(self) -> None:
        self._sock.listen(BACKLOG)
        self._resume()

    def close(self) -> None:
        """Take what the kernel has accepted, and no more. What it accepts meanwhile is reset."""
        self._closed = True
        self._loop.remove_reader(self._sock)
        while self._take():
            pass
        self._sock.close()

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._sock, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            if not self._has_room(len(self.coming)):
                self._pause()
                return
            if not self._take():
                return

    def _take(self) -> bool:
        """One connection; False when there is none to take."""
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except ConnectionAbortedError:
            return True  # gone before we came to it
        except OSError as error:  # no descriptor, no memory: later there may be
            self._metrics.failed("accept", error)
            self._pause()
            return False
        connection.setblocking(False)
        task = self._loop.create_task(self._begin(connection))
        self.coming.add(task)
        task.add_done_callback(self.coming.discard)
        return True

    async def _begin(self, connection: socket.socket) -> None:
        try:
            if self._tls is None:
                await self._loop.connect_accepted_socket(self._protocol, connection)
                return
            await self._loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._tls.context, ssl_handshake_timeout=HANDSHAKE,
                ssl_shutdown_timeout=HANDSHAKE,
            )  # fmt: skip
        except (ssl.SSLError, ConnectionError, TimeoutError):  # the caller's: it says nothing of us
            connection.close()
            self._metrics.add("modelmark_handshakes_failed_total")
        except OSError as error:
            connection.close()
            self._metrics.failed("accept", error)

    def _pause(self) -> None:
        self._loop.remove_reader(self._sock)
        if not self._closed:
            self._loop.call_later(PAUSE, self._resume)
