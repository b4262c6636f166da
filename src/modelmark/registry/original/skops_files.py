"""scikit-learn models in skops's own files. Runs in the child: skops builds them, from the closed list alone."""

from __future__ import annotations

from typing import IO, Any, Final

from modelmark.gates.supply_chain import skops_file
from modelmark.registry import libraries, pickle_names
from modelmark.registry.refusal import Refusal

LIBRARY: Final = "skops"
#: What is to be loaded before the walls stand.
MODULE: Final = "skops.io"
_MOST: Final = 1 << 30  # bytes that it may unpack to beyond its own; the child that read it before asked for less
#: Generators of random numbers, which skops builds from their own numbers.
_RANDOM: Final = frozenset(
    {("numpy.random.mtrand", "RandomState"), ("numpy.random._generator", "Generator")}
    | {("numpy.random", name) for name in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "SeedSequence")}
)


def allows(module: str, name: str) -> bool:
    """Whether a file may name it: what a pickle may, and generators of random numbers."""
    return pickle_names.allows(module, name) or (module, name) in _RANDOM


def load(data: bytes) -> Any:
    """What the file holds. Raises Refusal for a name outside the closed list, held before anything is built and at each import;
    whatever skops raises for a damaged file."""
    if not libraries.installed(LIBRARY):
        raise Refusal("missing_skops")
    from skops.io import _general, _utils, loads

    names = skops_file.read(data, len(data) + _MOST).names
    if not all(allows(name.module, name.name) for name in names):
        raise Refusal("name_not_allowed")
    imported = _utils._import_obj

    def closed(module: str, name: str, package: str | None = None) -> Any:
        if not allows(module, name):
            raise Refusal("name_not_allowed")
        found = imported(module, name, package)
        if not pickle_names.is_what_it_says(module, found):
            raise Refusal("name_not_allowed")
        return found

    _utils._import_obj = _general._import_obj = closed
    try:
        return loads(data, trusted=sorted(f"{name.module}.{name.name}" for name in names))
    finally:
        _utils._import_obj = _general._import_obj = imported


def is_one(data: bytes) -> bool:
    return skops_file.is_one(data)


def content(source: str | IO[bytes]) -> bytes:
    """The bytes, and a stream where it was."""
    if isinstance(source, str):
        with open(source, "rb") as file:
            return file.read()
    found = source.read()
    source.seek(0)
    return found
