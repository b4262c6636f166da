"""Hash chains: each link covers the one before, so nothing can be changed, dropped or moved unseen."""

from __future__ import annotations

import hashlib
from typing import Final

START: Final = b"\0" * 32


def link(previous: bytes, payload: bytes) -> bytes:
    """SHA-256 over the previous link (32 bytes) and the payload."""
    return hashlib.sha256(previous + payload).digest()
