"""The local signing key: Ed25519, made at first use, readable by its owner alone."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from modelmark.domain.errors import Missing, NotPermitted, Tampered
from modelmark.seal.digests import digest_bytes

PRIVATE: Final = "mark.key"
PUBLIC: Final = "mark.pub"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks signatures of one key."""

    key: Ed25519PublicKey

    @property
    def key_id(self) -> str:
        return digest_bytes(self.key.public_bytes_raw())

    def check(self, signature: bytes, message: bytes) -> None:
        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            raise Tampered("the signature does not belong to these bytes and this key", code="BAD_SIGNATURE") from None


@dataclass(frozen=True, slots=True)
class Signer:
    """Makes signatures. Only the control plane holds one."""

    key: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)

    def verifier(self) -> Verifier:
        return Verifier(self.key.public_key())


def signer(folder: Path) -> Signer:
    """The key in `folder`, made on first use (folder 0700, file 0600).

    Raises NotPermitted when somebody else may read the key (KEY_EXPOSED), when it is no key (BAD_KEY), when it is not the
    half of the public key beside it (KEYS_DIFFER), or when only the public key is left (KEY_GONE): nothing is signed that
    this workspace would not believe.
    """
    path = folder / PRIVATE
    if not path.exists():
        if (folder / PUBLIC).exists():
            raise NotPermitted(
                f"the signing key {path} is gone, its public half is still there",
                code="KEY_GONE",
                hint="restore it from a backup; a new key would not be believed beside the old marks",
            )
        _create(folder)
    key = read_private(path)
    if (folder / PUBLIC).exists():
        _require_halves(path, Signer(key), verifier(folder))
    _publish(folder, key)
    return Signer(key)


def read_private(path: Path) -> Ed25519PrivateKey:
    """Raises NotPermitted: KEY_EXPOSED, or BAD_KEY for anything but an Ed25519 key."""
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise NotPermitted(
            f"the signing key {path} may be read by others (mode {mode:04o})",
            code="KEY_EXPOSED",
            limit="mode 0600",
            hint=f"run: chmod 600 {path}, and make a new key if anyone may have read it",
        )
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad(path, "an Ed25519 private key")
    return key


def verifier(folder: Path) -> Verifier:
    """The public half. Raises Missing before the first mark was made, NotPermitted (BAD_KEY) for what is no key."""
    path = folder / PUBLIC
    if not path.exists():
        raise Missing(f"no public key at {path}", code="NO_KEY", hint="release a version first, or copy mark.pub here")
    return read_public(path)


def read_public(path: Path) -> Verifier:
    """Raises NotPermitted (BAD_KEY) for anything but an Ed25519 public key as PEM."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (ValueError, TypeError, UnsupportedAlgorithm, IsADirectoryError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise _bad(path, "an Ed25519 public key")
    return Verifier(key)


def require_pair(folder: Path) -> None:
    """The signing key is here, its owner's alone, and the half of the public one. Raises NotPermitted or Missing."""
    path = folder / PRIVATE
    if not path.exists():
        raise Missing(f"the signing key {path} is gone", code="KEY_GONE", hint="restore it from a backup")
    mode = folder.stat().st_mode & 0o777
    if mode & 0o022:
        raise NotPermitted(
            f"others may put keys into {folder} (mode {mode:04o})",
            code="KEY_EXPOSED",
            limit="mode 0700",
            hint=f"run: chmod 700 {folder}, and look whether the key is still yours",
        )
    key = read_private(path)
    _require_halves(path, Signer(key), verifier(folder))
    for file, pem in ((path, _private_pem(key)), (folder / PUBLIC, _public_pem(key))):
        if file.read_bytes() != pem:
            raise _bad(file, "in the form in which it was written")


def _require_halves(path: Path, ours: Signer, public: Verifier) -> None:
    if ours.verifier().key_id != public.key_id:
        raise NotPermitted(
            f"the signing key {path} is not the half of {PUBLIC} beside it",
            code="KEYS_DIFFER",
            limit=f"{PUBLIC} is {public.key_id[:19]}",
            hint="restore both from a backup: what one signs, readers of the other refuse",
        )


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _bad(path: Path, what: str) -> NotPermitted:
    return NotPermitted(f"{path} is not {what}", code="BAD_KEY", limit="PEM", hint="restore it from a backup")


def _create(folder: Path) -> None:
    """Make the private half whole under a name of its own and link it into place: of many first uses, one key counts."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    scratch = _written(folder, _private_pem(Ed25519PrivateKey.generate()))
    try:
        os.link(scratch, folder / PRIVATE)
        _sync_folder(folder)
    except FileExistsError:
        return  # another first use was quicker; its key counts
    finally:
        scratch.unlink()


def _publish(folder: Path, key: Ed25519PrivateKey) -> None:
    """Write the public half where it is missing, also after a crash in between."""
    if (folder / PUBLIC).exists():
        return
    scratch = _written(folder, _public_pem(key))
    scratch.chmod(0o644)
    scratch.replace(folder / PUBLIC)
    _sync_folder(folder)


def _written(folder: Path, data: bytes) -> Path:
    """A new file, 0600, with these bytes, safely on disk."""
    scratch = folder / f".new-{secrets.token_hex(8)}"
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        scratch.unlink()
        raise
    return scratch


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
