"""An in-memory twin of `domain.ports.ArtifactStore`, for tests that need no workspace."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing
from modelmark.seal.digests import digest_bytes


class MemoryArtifactStore:
    """Behaves as the store in folders does. `folder` writes a copy out, so what is changed there changes nothing here."""

    def __init__(self) -> None:
        self._versions: dict[Digest, dict[str, bytes]] = {}
        self._copies = tempfile.TemporaryDirectory(prefix="modelmark-twin-")

    def folder(self, id: Digest) -> Path:
        folder = Path(self._copies.name) / id.hex
        for name, data in self._versions.get(id, {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    def size(self, id: Digest, name: str) -> int | None:
        data = self._versions.get(id, {}).get(name)
        return None if data is None else len(data)

    def read(self, id: Digest, name: str) -> bytes:
        try:
            return self._versions[id][name]
        except KeyError:
            raise _missing(id, name) from None

    def write(self, id: Digest, name: str, data: bytes) -> None:
        if id not in self._versions:
            raise _missing(id, name)
        self._versions[id][name] = data

    def digests(self, id: Digest) -> Mapping[str, str]:
        return {name: digest_bytes(data).hex for name, data in sorted(self._versions.get(id, {}).items())}

    def ids(self) -> Sequence[str]:
        return sorted(id.hex for id in self._versions)

    def add(self, id: Digest, files: Path) -> None:
        inside = (path for path in files.rglob("*") if path.is_file())
        self._versions[id] = {path.relative_to(files).as_posix(): path.read_bytes() for path in inside}


def _missing(id: Digest, name: str) -> Missing:
    return Missing(f"{name} of version {id.short} is not in this workspace", code="NO_FILES")
