"""Where we listen, and who may reach us there."""

from __future__ import annotations

import socket
import time
from typing import Final

from modelmark.domain.errors import Conflict, NotPermitted
from modelmark.serving.entry.exposure import is_loopback

#: What connections have from the socket that listens. Answers that a client does not read wait in 128 KiB of the kernel's (it
#: doubles the number), then with us, where they can be counted; and the kernel, too, ends a connection whose client has taken
#: nothing for ten seconds.
INHERITED: Final = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 10_000),
]


def require_loopback(host: str) -> None:
    """Raises NotPermitted for anything but this machine itself."""
    if not is_loopback(host):
        raise NotPermitted(
            f"listening on {host} would let others in without authentication",
            code="NOT_LOOPBACK",
            field="host",
            limit="127.0.0.1, ::1 or localhost",
        )


def host_names(host: str) -> frozenset[bytes]:
    """Names a caller may use in the Host header, lower case, without port."""
    return frozenset({b"localhost", b"127.0.0.1", b"[::1]", host.lower().encode()})


def bind(host: str, port: int, *, elsewhere: bool = False) -> socket.socket:
    """A socket other workers may share. elsewhere: others may reach it, as `exposure` allows. Raises Conflict when the port is not
    to be had."""
    if not elsewhere:
        require_loopback(host)
    name = "127.0.0.1" if host == "localhost" else host
    found = socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    for level, option, value in INHERITED:
        found.setsockopt(level, option, value)
    try:
        found.bind((name, port))
    except OSError as error:
        found.close()
        raise Conflict(
            f"port {port} of {host} is not free: {error.strerror}", code="PORT_TAKEN", field="port"
        ) from None
    found.setblocking(False)
    return found


def reserve(host: str, port: int, patience: float = 0.0, *, elsewhere: bool = False) -> socket.socket:
    """Hold a port without listening on it; 0 picks a free one. Raises Conflict when anybody listens there already, and still
    does after `patience` seconds."""
    if not elsewhere:
        require_loopback(host)
    until = time.monotonic() + patience
    while port:
        taken = _taken(host, port)
        if taken is None:
            break
        if time.monotonic() >= until:
            hint = "end what listens there, or choose another port"
            raise Conflict(f"port {port} of {host} is taken: {taken}", code="PORT_TAKEN", field="port", hint=hint)
        time.sleep(0.05)
    return bind(host, port, elsewhere=elsewhere)


def _taken(host: str, port: int) -> str | None:
    """What the system says of it; None where nobody listens."""
    name = "127.0.0.1" if host == "localhost" else host
    with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except OSError as error:
            return error.strerror or str(error)
    return None
