"""Where the endpoint may listen: on this machine as it likes, elsewhere with TLS and keys, or behind a proxy that has both."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime

from modelmark.domain.errors import Missing, NotPermitted, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.seal.keys import Verifier
from modelmark.seal.public import OneKey
from modelmark.seal.snapshot import read_snapshot
from modelmark.serving.entry.tls import TlsFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """tls: the endpoint's own; None: plain. behind_proxy: whoever reaches us was let in by a proxy, which has TLS and knows its
    callers."""

    tls: TlsFiles | None = None
    behind_proxy: bool = False

    def require_allowed(self, workspace: Workspace, host: str) -> None:
        """Raises NotPermitted (NOT_LOOPBACK), and Rejected for TLS files that are no good."""
        require_allowed(workspace, host, tls=self.tls is not None, behind_proxy=self.behind_proxy)
        if self.tls is not None:
            self.tls.read().context()

    def worker_options(self, host: str) -> list[str]:
        """How `serving.worker` is told. Away from loopback nobody is answered without a key, unless a proxy asks for one."""
        elsewhere, options = not is_loopback(host), list[str]()
        if elsewhere:
            options += ["--elsewhere"]
        if elsewhere and not self.behind_proxy:
            options += ["--require-keys"]
        if elsewhere or self.behind_proxy:
            options += ["--any-name"]
        if self.tls is not None:
            options += [f"--tls-cert={self.tls.cert}", f"--tls-key={self.tls.key}"]
            options += [f"--tls-client-ca={self.tls.client_ca}"] if self.tls.client_ca else []
        return options


def is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_allowed(workspace: Workspace, host: str, *, tls: bool, behind_proxy: bool) -> None:
    """Raises NotPermitted (NOT_LOOPBACK), naming what is missing, for an address at which strangers could ask."""
    if is_loopback(host) or (behind_proxy and _is_address(host)):
        return
    missing = [
        what
        for what, there in (
            ("an address of this machine, as digits", _is_address(host)),
            ("TLS (--tls-cert, --tls-key)", tls),
            ("a key of the endpoint (modelmark key create)", _has_keys(workspace)),
        )
        if not there
    ]
    if missing:
        raise NotPermitted(
            f"serving on {host} would let others in: it takes {' and '.join(missing)}",
            code="NOT_LOOPBACK",
            field="host",
            limit="127.0.0.1, ::1 or localhost without",
            hint="or, behind a proxy with TLS and authentication, --behind-proxy",
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _has_keys(workspace: Workspace) -> bool:
    try:
        verifier: Verifier = OneKey(workspace.keys)()
        keys = read_snapshot(workspace.snapshot, verifier).keys
    except (Missing, Tampered, OSError):
        return False
    return any(key.expires_at > datetime.now(UTC) for key in keys)
