"""Digests of bytes, files and plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import msgspec

from modelmark.domain.digest import Digest
from modelmark.domain.later import LATER

#: Types whose own values, but not those of types made from them, are JSON values as they are.
_PLAIN: Final = frozenset({str, int, bool})


def digest_bytes(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def digest_file(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())


def plain(value: Any) -> Any:
    """Dataclasses, enums and times as JSON values; NaN and infinities become null."""
    if value is None or type(value) in _PLAIN:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: plain(getattr(value, item.name))
            for item in fields(value)
            if not (LATER in item.metadata and getattr(value, item.name) == item.default)
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        return plain(value.item())  # a NumPy scalar
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: keys sorted, no blanks, UTF-8. What digests and signatures cover.

    >>> canonical({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return encoded(plain(value))


def encoded(value: Any) -> bytes:
    """`canonical` of what is plain already."""
    return msgspec.json.encode(value, order="sorted")


def digest_value(value: Any) -> Digest:
    return digest_bytes(canonical(value))
