"""What a TLS certificate says of itself."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from modelmark.domain.errors import Rejected

_FORM = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def require_pair(chain: bytes, key: bytes, now: datetime) -> datetime:
    """When the first certificate of a PEM chain ends. Raises Rejected (BAD_CERTIFICATE, BAD_TLS_KEY, KEY_MISMATCH,
    CERTIFICATE_EXPIRED), naming the setting in `field`."""
    first = read_chain(chain, "tls_cert")[0]
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError):
        raise Rejected(
            "the TLS key is no PEM key without a password",
            code="BAD_TLS_KEY",
            field="tls_key",
            limit="PEM, no password",
        ) from None
    if private.public_key().public_bytes(*_FORM) != first.public_key().public_bytes(*_FORM):
        raise Rejected(
            "the TLS key is not the certificate's", code="KEY_MISMATCH", field="tls_key",
            hint="the chain's first certificate must be the server's own",
        )  # fmt: skip
    if not first.not_valid_before_utc <= now < first.not_valid_after_utc:
        when = f"{first.not_valid_before_utc:%Y-%m-%d %H:%M} to {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
        raise Rejected("the TLS certificate is not valid now", code="CERTIFICATE_EXPIRED", field="tls_cert", limit=when)
    return first.not_valid_after_utc


def read_chain(pem: bytes, field: str) -> list[x509.Certificate]:
    """Raises Rejected (BAD_CERTIFICATE). field: the setting that named the file."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise Rejected("the file holds no PEM certificate", code="BAD_CERTIFICATE", field=field, limit="PEM") from None
