"""A skops file read without being opened: a zip of one description in JSON and of arrays; the names it would import. Nothing
here executes, and skops is not asked."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from modelmark.domain.errors import Rejected
from modelmark.gates.supply_chain.pickled import Name

START: Final = b"PK\x03\x04"
_SCHEMA: Final = "schema.json"
#: What may be built, by skops's own names: none of them calls what it is given, or looks anything up on an object.
_LOADERS: Final = frozenset(
    {
        "BytearrayNode", "BytesNode", "CachedNode", "ConstructorFromReduceNode", "DTypeNode", "DefaultDictNode", "DictNode",
        "FunctionNode", "JsonNode", "ListNode", "LossNode", "MaskedArrayNode", "NdArrayNode", "ObjectNode", "RandomGeneratorNode",
        "RandomStateNode", "SGDNode", "SetNode", "SliceNode", "SparseMatrixNode", "TreeNode", "TupleNode", "TypeNode",
    }
)  # fmt: skip
_WORD: Final = 100  # characters
#: What a part that does not say how it is built would be built by.
NOTHING: Final = Name("skops.io", "None")


@dataclass(frozen=True, slots=True)
class Read:
    """names: every import, in order of appearance; of what else it would do, `skops.io` and skops's own name. words: short
    texts."""

    names: tuple[Name, ...]
    words: frozenset[str]


def is_one(data: bytes) -> bool:
    return data.startswith(START) and _SCHEMA in _listed(data)


def _listed(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return packed.namelist()
    except Exception:  # noqa: BLE001 - a damaged zip may raise anything; it is none, then
        return []


def read(data: bytes, most: int) -> Read:
    """most: bytes it may unpack to. Raises Rejected: TOO_LARGE for a bomb, NOT_SKOPS where it cannot be followed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            if sum(item.file_size for item in packed.infolist()) > most:
                raise Rejected(f"the file unpacks to more than {most >> 20:,} MiB", code="TOO_LARGE")
            nodes = list(_nodes(json.loads(packed.read(_SCHEMA))))
        names = [name for node in nodes for name in _names(node)]
        words = frozenset(text for node in nodes for text in _texts(node))
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes our reading stumble over is its fault
        raise Rejected(f"the description cannot be followed: {type(error).__name__}", code="NOT_SKOPS") from None
    if not names:
        raise Rejected("the description builds nothing", code="NOT_SKOPS")
    return Read(tuple(dict.fromkeys(names)), words | {name.name for name in names})


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object of the description, however deep, without recursion."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one
        if isinstance(one, dict | list):
            left.extend(reversed(list(one.values() if isinstance(one, dict) else one)))


def _names(node: dict[str, Any]) -> Iterator[Name]:
    """Any object with one of the three keys counts as what is built: skops looks at nothing else."""
    if not {"__loader__", "__class__", "__module__"} & node.keys():
        return
    loader = str(node.get("__loader__"))
    if loader not in _LOADERS:
        yield Name("skops.io", loader)
    if loader not in ("JsonNode", "CachedNode"):  # which import nothing
        yield Name(str(node.get("__module__")), str(node.get("__class__")))


def _texts(node: dict[str, Any]) -> Iterator[str]:
    """What may be shown: keys, and texts that stand in it or, as skops has it, in JSON inside."""
    yield from (key for key in node if len(key) <= _WORD and key.isprintable())
    for value in node.values():
        if isinstance(value, str) and len(value) <= 2 * _WORD:
            found = value
            if value.startswith('"'):
                try:
                    found = json.loads(value)
                except ValueError:
                    continue
            if isinstance(found, str) and len(found) <= _WORD and found.isprintable():
                yield found
