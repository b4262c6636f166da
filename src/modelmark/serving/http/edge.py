"""HTTP/1.1 on the wire: all connections of one worker, and what they share: limits, places, names, ids."""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Sized
from email.utils import formatdate
from typing import Final, Protocol

from modelmark.serving.http.framing import READ, SECURITY, Limits
from modelmark.serving.http.late import LateRefusals
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics

#: The idle are looked for no more often than this, in seconds.
LOOK: Final = 0.05


class Connected(Protocol):
    """What the edge knows of a connection. waiting: requests whose answers have not left; touched: when it last asked; leaves: it
    ends after its next answer."""

    leaves: bool

    @property
    def waiting(self) -> Sized: ...
    @property
    def touched(self) -> float: ...
    @property
    def paused(self) -> bool: ...
    @property
    def idle(self) -> bool: ...
    def enforce_deadlines(self, now: float, limits: Limits) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Edge:
    """All connections of one worker."""

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        *,
        hosts: frozenset[bytes] | None,
        limits: Limits | None = None,
        loop: asyncio.AbstractEventLoop,
        extra: bytes = b"",
    ) -> None:
        """hosts: names a caller may use for us, without port: nobody else's web page may talk to us under its own. None: any."""
        self.service, self.metrics, self.hosts, self.loop = service, metrics, hosts, loop
        self.limits = limits or Limits()
        self.connections: set[Connected] = set()
        self._idlest: deque[tuple[float, Connected]] = deque()
        self._looked_at = float("-inf")
        self.draining = False
        self.held = 0
        self._count = 0
        self._id_head = service.runtime.writer.id[:12]
        self._extra = extra
        self.common = b""
        self._known_hosts: set[bytes] = set()
        self.late = LateRefusals(loop, self.limits.refusals)
        self.read = READ | service.headers
        self.sweep_now()

    def body_limit(self, url: bytes) -> int:
        """Largest body for an address, in bytes."""
        return self.service.body_limit(url)

    def next_id(self) -> str:
        self._count += 1
        return f"{self._id_head}-{self._count:x}"

    def allows(self, host: bytes) -> bool:
        if self.hosts is None or host in self._known_hosts:
            return True
        name = host.rpartition(b":")[0] if re.search(rb":\d{0,5}$", host) else host
        if name.lower() in self.hosts:
            if len(self._known_hosts) < 64:
                self._known_hosts.add(host)
            return True
        return False

    async def sweep(self) -> None:
        """Hold the deadlines of all connections. Runs until cancelled."""
        while True:
            await asyncio.sleep(0.25)
            self.sweep_now()

    def sweep_now(self) -> None:
        self.common = b"date: %b\r\n" % formatdate(usegmt=True).encode() + SECURITY + self._extra
        now = self.loop.time()
        for connection in list(self.connections):
            connection.enforce_deadlines(now, self.limits)
        self.metrics.gauges["modelmark_connections"] = len(self.connections)

    def has_room(self, coming: int) -> bool:
        """Whether one more may be taken in while so many others are on their way; one that is idle may have to go for it."""
        most = self.limits.connections + self.limits.spare
        return len(self.connections) + coming < most or self.make_room()

    def make_room(self) -> bool:
        """End the connection that has been idle for longest. False when none is idle."""
        now = self.loop.time()
        if not self._idlest and now - self._looked_at >= LOOK:
            self._looked_at = now
            idle = [(it.touched, it) for it in self.connections if it.idle and not it.paused]
            self._idlest.extend(sorted(idle, key=lambda found: found[0]))
        while self._idlest:
            touched, connection = self._idlest.popleft()
            if connection in self.connections and connection.idle and connection.touched == touched:
                self.connections.discard(connection)
                connection.close()
                return True
        return False

    @property
    def busy(self) -> int:
        """Requests received whose answers have not left."""
        return sum(len(connection.waiting) for connection in self.connections)

    def spread(self, share: float) -> None:
        """Have so large a part of the connections come anew, each after its next answer: another worker may take them."""
        for connection in self.connections:
            connection.leaves = connection.leaves or random.random() < share

    def drain(self) -> None:
        """From now on every answer closes its connection."""
        self.draining = True

    def close_idle(self, quiet: float) -> None:
        """Close connections that have had nothing to say for so many seconds; the next request may be on its way."""
        now = self.loop.time()
        for connection in list(self.connections):
            if connection.idle and now - connection.touched > quiet:
                connection.close()

    def abort_all(self) -> None:
        for connection in list(self.connections):
            connection.abort()
