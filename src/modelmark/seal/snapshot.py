"""The release snapshot: which versions serve, signed by the control plane, followed by the data plane."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.routes import Snapshot
from modelmark.seal.digests import plain
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.files import replace_file
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
    sequence = open_snapshot(data, verifier).sequence
    path.parent.mkdir(parents=True, exist_ok=True)
    with _turn(path):
        if _sequence(path, verifier) >= sequence:
            return False
        replace_file(path, data)
    return True


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One writer at a time, of any process or thread; the kernel gives the turn back when a process dies."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sequence(path: Path, verifier: Verifier) -> int:
    """Of the snapshot that is there; -1 for none, or for one that this key did not sign."""
    try:
        return read_snapshot(path, verifier).sequence
    except (Missing, Tampered):
        return -1


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
