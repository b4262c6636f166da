"""What a model file is, by its first bytes and never by its name; and its content without the compression around it."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Collection
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Rejected
from modelmark.gates.supply_chain import skops_file

_MOST: Final = 4 << 30  # bytes a file may unpack to; more is a bomb or no model for one machine
_STEP: Final = 1 << 20


class Format(StrEnum):
    """What we take: everything else is refused by name."""

    ONNX = "ONNX"
    PICKLE = "pickle"
    XGBOOST = "XGBoost (JSON or UBJSON)"
    LIGHTGBM = "LightGBM (text)"
    CATBOOST = "CatBoost (cbm)"
    SKOPS = "skops"
    TORCH = "PyTorch (torch.export)"
    KERAS = "Keras"


#: Forms in which boosters and networks keep themselves: trees, layers and numbers, and no code.
OWN: Final = frozenset({Format.XGBOOST, Format.LIGHTGBM, Format.CATBOOST, Format.TORCH, Format.KERAS})
_TAKEN: Final = "a pickle (joblib, compressed too), ONNX, skops, or a booster's or network's own"
_FIRST: Final = 4096
_ZIP: Final = b"PK\x03\x04"
_OBJECTS: Final = (b"{L", b"{l", b"{I", b"{i", b"{U")  # how an object of UBJSON may begin


#: First bytes of formats that are not taken, so that the refusal can say what it found.
_KNOWN: Final = (
    (_ZIP, "a zip archive (pickles of PyTorch, or NumPy)"),
    (b"\x89HDF", "HDF5 (Keras)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!", "a script"),
    (b"GGUF", "GGUF"),
    (b"\x04\x22\x4d\x18", "an LZ4 stream"),
    (b"{", "JSON or text"),
)
_UNPACK: Final[tuple[tuple[bytes, str, Callable[[], Any]], ...]] = (
    (b"\x1f\x8b", "gzip", lambda: zlib.decompressobj(31)),
    (b"BZh", "bzip2", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", "xz", lzma.LZMADecompressor),
    (b"\x5d\x00\x00", "lzma", lzma.LZMADecompressor),
    (b"\x78", "zlib", zlib.decompressobj),
)


def content(path: Path, most: int = _MOST) -> tuple[Format, str, bytes]:
    """(format, how it was compressed or nothing, the bytes inside). most: bytes it may unpack to.

    Raises Rejected: WRONG_FORMAT for anything that is not taken, TOO_LARGE for a bomb.
    """
    return content_of(path.read_bytes(), most)


def content_of(data: bytes, most: int = _MOST) -> tuple[Format, str, bytes]:
    """The same of bytes that are at hand."""
    for start, packing, make in _UNPACK:
        if data.startswith(start):
            return _kind(inner := _unpacked(data, make(), packing, most), most), packing, inner
    return _kind(data, most), "", data


def _unpacked(data: bytes, machine: Any, packing: str, most: int) -> bytes:
    found = bytearray()
    for at in range(0, len(data), _STEP):
        try:
            found += machine.decompress(data[at : at + _STEP], most + 1 - len(found))
        except (zlib.error, OSError, EOFError, lzma.LZMAError) as error:
            raise Rejected(f"the {packing} stream is damaged: {error}", code="WRONG_FORMAT") from None
        if len(found) > most:
            raise Rejected(f"the {packing} stream unpacks to more than {most >> 20:,} MiB", code="TOO_LARGE")
    if not machine.eof:
        raise Rejected(f"the {packing} stream is cut off", code="WRONG_FORMAT")
    if machine.unused_data:
        raise Rejected(f"something follows the {packing} stream", code="WRONG_FORMAT")
    return bytes(found)


def own(data: bytes) -> Format | None:
    """Which booster keeps itself so; None for anything else."""
    first = data[:_FIRST]
    if first.startswith(b"CBM1"):
        return Format.CATBOOST
    if first.startswith(b"tree\n"):
        return Format.LIGHTGBM
    json_like = first.lstrip().startswith(b"{") and b'"learner"' in first
    return Format.XGBOOST if json_like or (first.startswith(_OBJECTS) and b"learner" in first) else None


def packed(names: Collection[str]) -> Format | None:
    """Which network keeps itself in a zip of files with these names; None for anything else."""
    if "config.json" in names and "model.weights.h5" in names:
        return Format.KERAS
    ends = {name.partition("/")[2] for name in names}
    return Format.TORCH if {"archive_format", "models/model.json"} <= ends else None


def _packed(data: bytes, most: int) -> Format | None:
    """Raises Rejected for one that unpacks to more than `most` bytes."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            inside = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    kind = packed([one.filename for one in inside])
    if kind is not None and sum(one.file_size for one in inside) > most:
        raise Rejected(f"the archive unpacks to more than {most >> 20:,} MiB", code="TOO_LARGE")
    return kind


def _kind(data: bytes, most: int) -> Format:
    kept = _packed(data, most) if data.startswith(_ZIP) else own(data)
    if kept is not None:
        return kept
    if skops_file.is_one(data):
        return Format.SKOPS
    for start, what in _KNOWN:
        if data.startswith(start):
            raise Rejected(
                f"it is {what}",
                code="WRONG_FORMAT",
                limit=_TAKEN,
            )
    if len(data) > 1 and data[0] == 0x80 and data[1] <= 5:
        return Format.PICKLE
    if data[:1] == b"\x08" and len(data) > 8:  # field 1, ir_version, of an ONNX ModelProto
        return Format.ONNX
    if data[:1] in b"(]}c\x8cIFUXGNVS" and data.rstrip()[-1:] == b".":  # protocols 0 and 1 have no header
        return Format.PICKLE
    raise Rejected(
        f"it starts with {data[:8].hex(' ') or 'nothing'}, which no format we take does",
        code="WRONG_FORMAT",
        limit=_TAKEN,
    )
