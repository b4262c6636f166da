"""Passwords as Argon2id hashes, and secrets that are kept only as digests."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hmac import compare_digest
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from modelmark.domain.errors import Overloaded

#: Long enough that guessing at ten tries a minute is hopeless; NIST SP 800-63B asks for no rule beyond length.
SHORTEST: Final = 12
LONGEST: Final = 1024
#: Seconds that a password waits to be looked at.
WAIT: Final = 5.0
_hasher: Final = PasswordHasher()  # argon2-cffi's defaults: RFC 9106, low-memory profile
_AT_ONCE: Final = threading.BoundedSemaphore(2)  # each takes 64 MiB, and anybody may knock


def hash_password(password: str) -> str:
    """Raises Overloaded as `verify_password` does."""
    with _slot():
        return _hasher.hash(password)


def verify_password(hashed: str | None, password: str) -> bool:
    """False for a wrong password. None stands for an unknown account and takes as long as a known one.

    Raises Overloaded where both slots stay taken for `WAIT` seconds.
    """
    try:
        with _slot():
            matches = _hasher.verify(hashed or _nobody(), password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(matches) and hashed is not None


def new_secret() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def digest_secret(secret: str) -> str:
    """What is stored of a secret of full entropy: SHA-256 suffices, there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def form_token(session_token: str) -> str:
    """What a form must carry to act for this session: nobody who cannot read the cookie can make it."""
    return hashlib.sha256(b"modelmark form " + session_token.encode()).hexdigest()


def same(first: str, second: str) -> bool:
    """In constant time."""
    return compare_digest(first.encode(), second.encode())


@contextmanager
def _slot() -> Iterator[None]:
    """One of the hashes that are made at once."""
    if not _AT_ONCE.acquire(timeout=WAIT):
        raise Overloaded("too many passwords are looked at just now", retry_after=int(WAIT))
    try:
        yield
    finally:
        _AT_ONCE.release()


@cache
def _nobody() -> str:
    return _hasher.hash(secrets.token_urlsafe(16))
