"""The release snapshot: which versions serve, signed by the control plane, followed by the data plane."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing
from modelmark.domain.routes import Snapshot
from modelmark.seal.digests import plain
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.files import keep_newest
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import restore

SNAPSHOT_TYPE: Final = "application/vnd.modelmark.snapshot+json"


def write_snapshot(path: Path, snapshot: Snapshot, signer: Signer) -> bool:
    """Replace the snapshot in one step: readers see the old one or the new one, whole, power cut or not.

    Writers take turns, and none replaces a newer one: False where one at least as new, of this key, is there already.
    """
    return keep_snapshot(path, wrap(plain(snapshot), SNAPSHOT_TYPE, signer), signer.verifier())


def keep_snapshot(path: Path, data: bytes, verifier: Verifier) -> bool:
    """As `write_snapshot`, for one that is signed already. Raises Tampered when its signature does not hold."""
    return keep_newest(path, data, lambda found: open_snapshot(found, verifier).sequence)


def read_snapshot(path: Path, verifier: Verifier) -> Snapshot:
    """Raises Missing where there is none, Tampered when the signature does not hold."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Missing("no release yet: there is no snapshot to follow", code="NO_SNAPSHOT") from None
    return open_snapshot(data, verifier)


def open_snapshot(data: bytes, verifier: Verifier) -> Snapshot:
    """Raises Tampered when the signature does not hold."""
    return restore(Snapshot, unwrap(data, SNAPSHOT_TYPE, verifier, what="the release snapshot"))
