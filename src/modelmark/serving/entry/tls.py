"""TLS at the endpoint's own ports: certificates are read anew when their files change, and a bad one changes nothing."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from modelmark.domain.errors import ModelmarkError, Rejected
from modelmark.seal.certificates import read_chain, require_pair
from modelmark.serving.telling import tell

#: How often a worker looks at the files, in seconds.
LOOK: Final = 1.0
#: A client that has not shaken hands by then is left, in seconds.
HANDSHAKE: Final = 10.0
#: So long before its end a certificate is told of.
SOON: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """client_ca: only callers with a certificate of these authorities are let in; None: none is asked for."""

    cert: Path
    key: Path
    client_ca: Path | None = None

    @classmethod
    def of(cls, cert: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
        """None where nothing is named. Raises Rejected (BAD_TLS) for half a pair."""
        if cert is None and key is None and client_ca is None:
            return None
        if cert is None or key is None:
            raise Rejected(
                "TLS takes a certificate and its key", code="BAD_TLS", field="tls_key" if cert else "tls_cert",
                limit="--tls-cert and --tls-key together",
            )  # fmt: skip
        return cls(cert=cert.resolve(), key=key.resolve(), client_ca=client_ca.resolve() if client_ca else None)

    def read(self) -> Credentials:
        """Raises Rejected, naming setting and file."""
        chain, key = _read(self.cert, "tls_cert"), _read(self.key, "tls_key")
        until = require_pair(chain, key, datetime.now(UTC))
        authorities = None if self.client_ca is None else _read(self.client_ca, "tls_client_ca")
        if authorities is not None:
            read_chain(authorities, "tls_client_ca")
        return Credentials(chain=chain, key=key, authorities=authorities, until=until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What the files held, as PEM; they belong together."""

    chain: bytes
    key: bytes
    authorities: bytes | None
    until: datetime

    def context(self) -> ssl.SSLContext:
        """Raises Rejected (BAD_CERTIFICATE) for what the library does not take, such as a key that is too short."""
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        found.set_alpn_protocols(["http/1.1"])
        try:
            with tempfile.NamedTemporaryFile(prefix="modelmark-") as pair:  # the library reads files alone; 0600
                pair.write(self.chain + b"\n" + self.key)
                pair.flush()
                found.load_cert_chain(pair.name)
            if self.authorities is not None:
                found.load_verify_locations(cadata=self.authorities.decode("ascii"))
                found.verify_mode = ssl.CERT_REQUIRED
        except (ssl.SSLError, ValueError) as error:
            raise Rejected(
                f"TLS does not take the certificate: {error}", code="BAD_CERTIFICATE", field="tls_cert"
            ) from None
        return found


class Tls:
    """The credentials in use. on_change is told the newest."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises Rejected where the files are no good to begin with."""
        self._files, self._seen = files, self._stamps(files)
        self.credentials = files.read()
        self.context = self.credentials.context()
        self.on_change: Callable[[Credentials], None] = lambda _: None
        self._problem: str | None = None

    def problem(self) -> str | None:
        """What is wrong with the files, or will be soon; callers are answered all the same."""
        if self._problem is not None:
            return self._problem
        left = self.credentials.until - datetime.now(UTC)
        return f"the TLS certificate ends on {self.credentials.until:%Y-%m-%d %H:%M} UTC" if left < SOON else None

    def look(self) -> None:
        """Take up what has changed."""
        stamps = self._stamps(self._files)
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            credentials = self._files.read()
            context = credentials.context()
        except ModelmarkError as error:
            self._problem = f"the TLS files changed, and the old ones serve on: {error.message}"
            tell(f"serving: {self._problem}")
            return
        self.credentials, self.context, self._problem = credentials, context, None
        self.on_change(credentials)
        tell("serving: new TLS certificates are used")

    async def follow(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK)
            await asyncio.to_thread(self.look)

    @staticmethod
    def _stamps(files: TlsFiles) -> tuple[object, ...]:
        return tuple(_stamp(path) for path in (files.cert, files.key, files.client_ca) if path is not None)


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read(path: Path, field: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Rejected(f"{path} cannot be read: {error.strerror}", code="NO_CERTIFICATE", field=field) from None
