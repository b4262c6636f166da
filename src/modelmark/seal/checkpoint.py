"""Checkpoints: where every chain of a workspace stood at one time, signed, small, and kept where its operator cannot reach.

Whoever holds one notices a database, a journal, or both, that were put back to an earlier state.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from modelmark.domain.workspace import Workspace
from modelmark.seal.envelope import unwrap, wrap
from modelmark.seal.files import keep_newest
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.values import restore

CHECKPOINT_TYPE: Final = "application/vnd.modelmark.checkpoint+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """number: grows by one. key: the public key, raw, base64. audit: sequence and hash of the last event. journal: as the
    head of the journal, None before there was one. snapshot: sequence and digest of the last release snapshot. counts:
    rows of each table that only grows."""

    number: int
    at: datetime
    key: str
    audit: Mapping[str, Any] | None
    journal: Mapping[str, Any] | None
    snapshot: Mapping[str, Any] | None
    counts: Mapping[str, int]


def public_text(verifier: Verifier) -> str:
    """A public key as checkpoints hold it."""
    return base64.b64encode(verifier.key.public_bytes_raw()).decode()


def seal_checkpoint(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """The signed envelope."""
    return wrap(checkpoint, CHECKPOINT_TYPE, signer)


def checkpoint_turn(workspace: Workspace) -> Path:
    """Whose turn (`seal.files`) the database and the file are written in, so that who reads both sees one checkpoint."""
    return workspace.runtime / "checkpoint"


def keep_checkpoint(path: Path, envelope: bytes, verifier: Verifier) -> bool:
    """Beside the ledger, in place of an older one; False where one at least as new is there. Raises Tampered for anything
    this key did not sign."""
    return keep_newest(path, envelope, lambda found: open_checkpoint(found, verifier).number)


def open_checkpoint(envelope: bytes, verifier: Verifier) -> Checkpoint:
    """Raises Tampered for anything this key did not sign as a checkpoint."""
    return restore(Checkpoint, unwrap(envelope, CHECKPOINT_TYPE, verifier, what="the checkpoint"))
