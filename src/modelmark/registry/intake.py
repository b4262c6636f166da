"""Taking a model in: each file opened once, copied from that one descriptor, never read whole into memory."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelmark.contract.yamltext import MAX_BYTES
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, Rejected, TooLarge
from modelmark.domain.version import BESIDE
from modelmark.gates.supply_chain import formats
from modelmark.registry import answers
from modelmark.registry.original.foreign import is_text
from modelmark.seal import source as sources
from modelmark.seal.digests import digest_file
from modelmark.upstream.settings import names_upstream

_STEP: Final = 1 << 20
_FIRST: Final = 4096
_SPARSE: Final = 64 << 20  # smaller files may have holes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Copies of what was given. main: the model's file. name: its path within what was given; empty for a lone file that is no
    text. beside: all files by such paths, the main one first; empty likewise. digest: of what was given."""

    main: Path
    digest: Digest
    name: str = ""
    beside: Mapping[str, Path] = field(default_factory=dict)

    @property
    def shared(self) -> dict[str, Path]:
        """As the child that may open it finds them."""
        return {"source.bin": self.main, **{f"{BESIDE}/{name}": path for name, path in self.beside.items()}}


def take_all(source: Path, target: Path, most: int) -> Taken:
    """Copy a file, or every file of a folder, into the new folder `target`.

    most: bytes of them all. Raises as `take`, `sources.files` and `sources.main_of` do.
    """
    target.mkdir()
    if not source.is_dir():
        take(source, target / "taken", most)
        main = target / "taken"
        if not _is_text(main):
            return Taken(main=main, digest=digest_file(main))
        name = source.name if source.suffix == ".py" else f"{source.stem}.py"
        return Taken(main=main, digest=digest_file(main), name=name, beside={name: main})
    found, left = sources.files(source), most
    if "saved_model.pb" in found:
        raise answers.refusal(answers.Answer(reason="saved_model"), frozenset())
    main_name = sources.main_of(found, source.name)
    copies = {}
    for at, name in enumerate(sorted(found, key=lambda name: name != main_name)):
        take(found[name], target / str(at), left)
        copies[name] = target / str(at)
        left -= copies[name].stat().st_size
    digests = {name: digest_file(copies[name]) for name in found}
    return Taken(main=copies[main_name], digest=sources.digest_of(digests), name=main_name, beside=copies)


def upstream_of(taken: Taken) -> bytes | None:
    """The file, where all that it says is on which server the model is."""
    if not taken.name or len(taken.beside) > 1 or taken.main.stat().st_size > MAX_BYTES:
        return None
    data = taken.main.read_bytes()
    return data if names_upstream(data) else None


def _is_text(path: Path) -> bool:
    """Whether somebody wrote it, and no booster."""
    with path.open("rb") as file:
        first = file.read(_FIRST)
    return formats.own(first) is None and is_text(first)


def take(source: Path, target: Path, most: int) -> None:
    """Copy `source` to `target`, readable by us alone. What is judged, opened and digested afterwards is the copy.

    most: bytes. Raises Missing (NO_MODEL); TooLarge; Rejected with NOT_A_FILE for a pipe or a device, SPARSE_FILE for a
    large file that is mostly holes, SOURCE_CHANGED when it changes while it is read.
    """
    descriptor = _open(source)
    try:
        before = os.fstat(descriptor)
        _require_plain(descriptor, before, source, most)
        with open(target, "xb", opener=_private) as copy:
            size = 0
            while block := os.read(descriptor, _STEP):
                size += len(block)
                if size > most:
                    raise _too_large(source, most)
                copy.write(block)
        after = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if (size, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise Rejected(
            f"{source.name} changed while it was read", code="SOURCE_CHANGED", field="model.source", hint="try again"
        )


def _open(source: Path) -> int:
    """A descriptor; a pipe that nobody writes to does not hold us up."""
    try:
        return os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Missing(f"there is no model file {source}", code="NO_MODEL", field="model.source") from None
    except OSError as error:
        raise Rejected(
            f"{source.name} cannot be opened: {error.strerror}", code="NOT_A_FILE", field="model.source"
        ) from None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _require_plain(descriptor: int, found: os.stat_result, source: Path, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Rejected(f"{source.name} is no plain file", code="NOT_A_FILE", field="model.source")
    if found.st_size > most:
        raise _too_large(source, most)
    if found.st_size > _SPARSE and found.st_blocks * 512 < found.st_size // 2 and _has_hole(descriptor, found.st_size):
        raise Rejected(
            f"{source.name} is mostly a hole: {found.st_blocks * 512:,} of {found.st_size:,} bytes are there",
            code="SPARSE_FILE",
            field="model.source",
            hint="save the model again",
        )


def _has_hole(descriptor: int, size: int) -> bool:
    """A file system that compresses stores fewer blocks too, but reports no hole."""
    hole = os.lseek(descriptor, 0, os.SEEK_HOLE)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return hole < size


def _too_large(source: Path, most: int) -> TooLarge:
    return TooLarge(
        f"{source.name} is larger than a model may be", code="TOO_LARGE", field="model.source", limit=f"{most:,} bytes"
    )
