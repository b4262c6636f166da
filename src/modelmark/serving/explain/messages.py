"""What a worker and the process that explains say to each other; `sandbox.frames` packs it."""

from __future__ import annotations

from typing import Any

import msgspec


class Ask(msgspec.Struct, array_like=True):
    """One row of an answer. root: the workspace; key: its public key, as `seal.public` packs it. numbers, texts: of the row as
    it was received, in the version's order; scores: what it got."""

    root: str
    key: str
    version: str
    numbers: bytes
    texts: list[str | None]
    scores: list[float]
    method: str


class Told(msgspec.Struct, array_like=True):
    """explanation: JSON. error: an error's facts instead, and the name of its kind."""

    explanation: bytes = b""
    error: dict[str, Any] | None = None
    kind: str = ""
