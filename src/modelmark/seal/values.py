"""Plain JSON values back to domain types, strictly. The other half of `digests.plain`."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from modelmark.domain.contract import Contract, as_registered
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Tampered

T = TypeVar("T")


def restore(kind: type[T], value: Any) -> T:
    """Raises Tampered when the value does not have the type's form."""
    try:
        return msgspec.convert(value, kind, dec_hook=_hook)
    except (msgspec.ValidationError, ValueError) as error:
        raise Tampered(f"this is not a {kind.__name__}: {error}", code="BAD_FORM") from None


def decode(kind: type[T], data: bytes) -> T:
    """`restore` from JSON bytes."""
    try:
        return msgspec.json.decode(data, type=kind, dec_hook=_hook)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Tampered(f"this is not a {kind.__name__}: {error}", code="BAD_FORM") from None


def decode_contract(data: bytes) -> Contract:
    """A contract as a version was registered with it: gates that came later were never asked of it."""
    stored = decode(dict[str, Any], data)
    return restore(Contract, as_registered(stored))


def _hook(kind: type, value: Any) -> Any:
    if kind is Digest:
        return Digest(value)
    raise NotImplementedError(f"no form for {kind}")
