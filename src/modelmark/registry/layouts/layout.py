"""What a folder of another server holds, by names and small texts alone; the model itself is opened elsewhere, in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Malformed, Rejected

#: Bytes of a configuration, and folders of a repository that are looked into.
MOST_BYTES: Final = 1 << 20
MOST_FOLDERS: Final = 1000


class Kind(StrEnum):
    """Whose layout it is."""

    MLFLOW = "MLflow"
    TRITON = "Triton"
    MLSERVER = "MLServer"
    TENSORFLOW_SERVING = "TensorFlow Serving"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """file: what `init` is given. name: what the model is called there. version: empty where the layout has none."""

    kind: Kind
    file: Path
    name: str
    version: str = ""


def newest(folder: Path) -> Path | None:
    """The version's folder with the highest number."""
    numbers = [path for path in folders(folder) if path.name.isdigit()]
    return max(numbers, key=lambda path: int(path.name), default=None)


def folders(folder: Path) -> list[Path]:
    """In it, by name. Raises Malformed where there are more than anybody keeps."""
    found: list[Path] = []
    for path in _entries(folder):
        if path.is_dir() and not path.name.startswith("."):
            found.append(path)
        if len(found) > MOST_FOLDERS:
            raise Malformed(f"{folder} holds too many folders", code="NOT_A_MODEL", limit=f"{MOST_FOLDERS:,}")
    return sorted(found)


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError as error:
        raise Malformed(f"{folder} cannot be read: {type(error).__name__}", code="NOT_A_MODEL") from None


def text_of(path: Path) -> str:
    """Of a small configuration. Raises Malformed."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise Malformed(f"{path} is too large", code="NOT_A_MODEL", limit=f"{MOST_BYTES:,} bytes")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Malformed(f"{path} cannot be read: {type(error).__name__}", code="NOT_A_MODEL") from None


def inside(root: Path, path: Path, said: Path) -> Path:
    """A file that a configuration names. Raises Malformed for one that is not there, or outside of what was given."""
    found = path.resolve()
    if not found.is_relative_to(root.resolve()) or not found.is_file():
        raise Malformed(
            f"{said} names {path.name}, which is no file in {root}", code="NOT_A_MODEL",
            hint="give the folder that holds both, or the model's file itself to modelmark init",
        )  # fmt: skip
    return found


def unknown(what: str, known: str, hint: str) -> Rejected:
    """A kind of model that cannot be registered from files."""
    return Rejected(what, code="UNKNOWN_FLAVOUR", limit=known, hint=f"{hint}; or guard it where it is: {ELSEWHERE}")


ELSEWHERE: Final = "modelmark init upstream.yaml (docs/flavours/upstream.md)"
