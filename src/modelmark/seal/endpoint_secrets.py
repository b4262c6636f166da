"""Secrets of endpoint keys: 256 random bits, and what is kept of them.

Nobody can guess one, so what is kept needs no slow hash: a keyed BLAKE2b takes a microsecond, and a worker that hears a secret for
the first time can afford it before it answers.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

#: Begins every secret, so that scanners of repositories and people know one when they see it; then the key's id.
PREFIX: Final = "mmk_"
_DOMAIN: Final = b"modelmark endpoint key v1"


def new_secret(id: str) -> str:
    """`mmk_ID_` and 43 letters."""
    return f"{PREFIX}{id}_{secrets.token_urlsafe(32)}"


def digest_secret(secret: bytes) -> str:
    """What is kept, as 64 hexadecimal digits."""
    return hashlib.blake2b(secret, digest_size=32, key=_DOMAIN).hexdigest()
