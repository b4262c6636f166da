"""A pickle read without being opened, in a child of its own: whether each name it asks for may be asked for.

Bytes nobody vouches for are unpacked and followed here, behind the child's walls and under its limits. No name is
imported and no object is built.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

from modelmark.domain.errors import Rejected
from modelmark.gates.supply_chain import formats, pickled, skops_file
from modelmark.registry import libraries, pickle_names
from modelmark.registry.original import foreign, own_code, own_files, skops_files
from modelmark.registry.refusal import Refusal

_WORDS: Final = 20_000
_OPERATIONS: Final = 1_000_000  # looked through for words
#: Streams larger than this are judged by the closed list alone: scanners take seconds for a large vocabulary.
_FOR_SCANNERS: Final = 1 << 20


def warm_up() -> None:
    """What the reading needs of native libraries."""
    import numpy  # noqa: F401, ICN001


def read_all(folder: Path, main: str, most: int, streams: IO[bytes]) -> dict[str, Any]:
    """The same of a model with files beside it. main: its own file among them."""
    data = (folder / main).read_bytes()
    if own_code.holds_code(data):
        own = own_code.read(folder)
        return {"words": sorted(own.words), "imports": own.imports, "code": True}
    several = len(own_code.names_in(folder)) > 1
    return read(str(folder / main), most, streams, own_code.read(folder) if several else None)


def read(path: str, most: int, streams: IO[bytes], own: own_code.OwnCode | None = None) -> dict[str, Any]:
    """Facts in the form of `answers.Scanned`. most: bytes it may unpack to. own: code that came with it. Writes the pickles,
    arrays cut out."""
    foreign.require_known(Path(path))
    try:
        kind, _, data = formats.content(Path(path), most)
        if kind is formats.Format.ONNX:
            raise Refusal("graph_by_another_name")
        if kind in formats.OWN:
            return {"words": sorted(own_files.words(kind, data))[:_WORDS], "own": True}
        if kind is formats.Format.SKOPS:
            return _of_skops(data, most)
        found = pickled.read(data)
    except Rejected as error:
        if error.code != "TOO_LARGE" and foreign.is_text(Path(path).read_bytes()):
            raise Refusal("a_text") from None
        raise Refusal(_REASONS.get(error.code, "not_a_pickle")) from None
    modules = own.modules if own else ()
    asked = [(n.module, n.name) for n in found.names if not pickle_names.allows(n.module, n.name)]
    refused = [names for names in asked if not pickle_names.is_of(modules, *names)]
    small = sum(map(len, found.streams)) <= _FOR_SCANNERS and not refused
    if small:
        streams.writelines(found.streams)
    return {
        "refused": [(module[:100], name[:100]) for module, name in refused[:20]],
        "hostile": any(pickle_names.is_hostile(module) for module, _ in refused),
        "words": sorted(_words(found) | (own.words if own else set()))[:_WORDS],
        "imports": own.imports if own and asked else [],
        "code": len(asked) > len(refused),
        "streams": [len(stream) for stream in found.streams] if small else [],
    }


def _of_skops(data: bytes, most: int) -> dict[str, Any]:
    """Facts of a skops file, whose library is loaded before the walls stand."""
    found = skops_file.read(data, most)
    if not libraries.installed(skops_files.LIBRARY):
        raise Refusal("missing_skops")
    refused = [(n.module, n.name) for n in found.names if not skops_files.allows(n.module, n.name)]
    if refused == [(skops_file.NOTHING.module, skops_file.NOTHING.name)]:  # harmless, and no model
        raise Refusal("damaged_skops")
    return {
        "refused": [(module[:100], name[:100]) for module, name in refused[:20]],
        "hostile": any(pickle_names.is_hostile(module) for module, _ in refused),
        "words": sorted(found.words)[:_WORDS],
        "imports": [skops_files.MODULE],
        "own": True,
    }


_REASONS: Final = {"WRONG_FORMAT": "wrong_format", "TOO_LARGE": "bomb", "NOT_SKOPS": "damaged_skops"}


def _words(found: pickled.Read) -> set[str]:
    """Short texts of the file and the names it asks for: what may be repeated to people, because the file says it."""
    words = {name.name for name in found.names}
    left = _OPERATIONS
    for stream in found.streams:
        for text in _texts(stream, left):
            left -= 1
            if text is not None and len(text) <= 100 and text.isprintable():
                words.add(text)
        if left <= 0 or len(words) > _WORDS:
            break
    return words


def _texts(stream: bytes, most: int) -> Iterable[str | None]:
    for (_, argument, _), _ in zip(pickletools.genops(stream), range(most), strict=False):
        yield argument if isinstance(argument, str) else None
