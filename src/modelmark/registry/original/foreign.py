"""Files that hold a model, or none, in a format we do not read: told apart by their bytes. Opens nothing that it finds."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Final

from modelmark.gates.supply_chain import formats
from modelmark.registry.refusal import Refusal

_FIRST: Final = 4096
_PICKLE: Final = 1 << 20
_TORCH_OF_OLD: Final = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # its magic number, pickled before everything else
#: (how a file begins, the reason in `answers.REASONS`), the first that fits.
_STARTS: Final = (
    (b"\x89HDF\r\n", "hdf5"),
    (b"\x93NUMPY", "an_array"),
    (b"PAR1", "a_table"),
    (b"GGUF", "gguf"),
    (b"binf", "xgboost_of_old"),
    (b"\x7fELF", "a_program"),
    (b"MZ", "a_program"),
    (b"#!", "a_program"),
    (b"%PDF", "a_document"),
    (b"SQLite format 3\0", "a_database"),
)
#: (what one of the names in a zip ends with, the reason); the first that fits.
_IN_ZIP: Final = (
    ("saved_model.pb", "saved_model"),
    ("constants.pkl", "torchscript"),
    ("data.pkl", "torch"),
    (".npy", "an_array"),
    ("MLmodel", "packed_folder"),
)
_OBJECT: Final = b"{"


def require_known(path: Path) -> None:
    """Raises Refusal for a format that we know and do not read; says nothing of any other file."""
    with path.open("rb") as file:
        first = file.read(_FIRST)
    if formats.own(first) is not None:
        return
    reason: str | None = _of_zip(path) if first.startswith(b"PK\x03\x04") else _of_start(first)
    if reason is not None:
        raise Refusal(reason)


def _of_start(first: bytes) -> str | None:
    if not first:
        return "empty"
    for start, reason in _STARTS:
        if first.startswith(start):
            return reason
    if _TORCH_OF_OLD in first[:40]:
        return "torch"
    if first[4:8] == b"TFL3":
        return "tflite"
    if first[8:10] == b'{"' and int.from_bytes(first[:8], "little") < 1 << 32:
        return "safetensors"
    if first.lstrip().startswith(_OBJECT):
        return "json"
    if first.lstrip().startswith(b"<"):
        return "pmml" if b"<PMML" in first else "a_document"
    return None


def _of_zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            if formats.packed(names) is not None:
                return None
            pickle = next((name for name in names if name.endswith("/data.pkl")), None)
            if pickle and not any(name.endswith("/constants.pkl") for name in names):
                with packed.open(pickle) as file:
                    return "torch" if _names_modules(file.read(_PICKLE)) else "torch_weights"
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, zlib.error):
        return "a_zip"
    if "schema.json" in names:  # of skops
        return None
    return next((reason for end, reason in _IN_ZIP if any(name.endswith(end) for name in names)), "a_zip")


def _names_modules(pickle: bytes) -> bool:
    """Whether it pickles layers, and not only what they learned."""
    return b"torch.nn" in pickle or b"__main__" in pickle or b"_modules" in pickle


def is_text(data: bytes) -> bool:
    """Whether a file that is nothing else is something somebody wrote."""
    try:
        text = data[:_FIRST].decode("utf-8", "strict")
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8") if error.start > _FIRST - 4 else ""
    return bool(text) and all(letter.isprintable() or letter in "\r\n\t" for letter in text)
