"""One signing key for tests that need no files."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from modelmark.seal.keys import Signer

KEY = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def signer() -> Signer:
    return KEY
