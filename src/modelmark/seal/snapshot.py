"""The release snapshot: which versions serve, signed by the control plane, followed by the data plane."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing
from modelmark.domain.routes import Snapshot
from modelmark.seal.digests import plain
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import restore

SNAPSHOT_TYPE: Final = "application/vnd.modelmark.snapshot+json"


def write_snapshot(path: Path, snapshot: Snapshot, signer: Signer) -> None:
    """Replace the snapshot in one step: readers see the old one or the new one, whole, power cut or not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(wrap(plain(snapshot), SNAPSHOT_TYPE, signer))
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_snapshot(path: Path, verifier: Verifier) -> Snapshot:
    """Raises Missing where there is none, Tampered when the signature does not hold."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Missing("no release yet: there is no snapshot to follow", code="NO_SNAPSHOT") from None
    return restore(Snapshot, unwrap(data, SNAPSHOT_TYPE, verifier, what="the release snapshot"))
