"""The public key as it is read at a start and handed on: what becomes of its file later changes nothing."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from modelmark.domain.errors import NotPermitted, Tampered
from modelmark.seal.keys import PUBLIC, Verifier, verifier


def read_public(folder: Path) -> Verifier:
    """The key in `folder`. Raises Missing before there is one, Tampered for a file that holds none."""
    try:
        return verifier(folder)
    except (NotPermitted, OSError):
        raise Tampered(
            f"{folder / PUBLIC} is not a public key",
            code="BAD_PUBLIC_KEY",
            hint="put it back from a backup; it is the public half of mark.key",
        ) from None


def packed(key: Verifier) -> str:
    """As text for a command line, never one that begins as an option does. It is no secret."""
    return key.key.public_bytes_raw().hex()


def unpacked(text: str) -> Verifier:
    """Raises Tampered for what `packed` did not make."""
    try:
        return Verifier(Ed25519PublicKey.from_public_bytes(bytes.fromhex(text)))
    except ValueError:
        raise Tampered("this is not a public key", code="BAD_PUBLIC_KEY") from None


class OneKey:
    """The key of one life: the first that can be read, for good. Raises as `read_public` until then."""

    def __init__(self, folder: Path, handed: str = "") -> None:
        self._folder = folder
        self._key = unpacked(handed) if handed else None

    def __call__(self) -> Verifier:
        if self._key is None:
            self._key = read_public(self._folder)
        return self._key

    def problem(self) -> str | None:
        """What is wrong with the file, now that the key is known; None where it still holds that key."""
        if self._key is None:
            return None
        try:
            same = read_public(self._folder).key_id == self._key.key_id
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told and changes nothing
            return f"the public key on disk is damaged, and the one of the start is used: {error}"
        return None if same else "the public key on disk is another one than at the start, which is used"
