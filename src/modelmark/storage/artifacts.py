"""The files of versions in folders of the workspace, one a version."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing
from modelmark.domain.workspace import Workspace
from modelmark.seal.digests import digest_file
from modelmark.seal.files import replace_file


class FolderArtifactStore:
    """Implements `domain.ports.ArtifactStore`. What was written is on disk when a call returns."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def folder(self, id: Digest) -> Path:
        return self._workspace.version(id)

    def size(self, id: Digest, name: str) -> int | None:
        try:
            return (self.folder(id) / name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, id: Digest, name: str) -> bytes:
        try:
            return (self.folder(id) / name).read_bytes()
        except FileNotFoundError:
            raise _missing(id, name) from None

    def write(self, id: Digest, name: str, data: bytes) -> None:
        if not self.folder(id).is_dir():
            raise _missing(id, name)
        path = self.folder(id) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)

    def digests(self, id: Digest) -> Mapping[str, str]:
        folder = self.folder(id)
        found = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        return {
            path.relative_to(folder).as_posix(): digest_file(path).hex if _is_plain(path) else "not a plain file"
            for path in found
            if not path.name.startswith(".")
        }

    def ids(self) -> Sequence[str]:
        folder = self._workspace.versions
        return sorted(p.name for p in folder.iterdir() if not p.name.startswith(".new-")) if folder.is_dir() else []

    def add(self, id: Digest, files: Path) -> None:
        target = self.folder(id)
        with self._staged(files) as folder:
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
        _sync(target.parent)

    @contextmanager
    def _staged(self, files: Path) -> Iterator[Path]:
        """A synced copy beside the versions; gone afterwards unless it was moved."""
        self._workspace.versions.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._workspace.versions))
        try:
            shutil.copytree(files, folder, dirs_exist_ok=True)
            folder.chmod(0o755)
            for path in (*folder.rglob("*"), folder):
                _sync(path)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _is_plain(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _missing(id: Digest, name: str) -> Missing:
    return Missing(f"{name} of version {id.short} is not in this workspace", code="NO_FILES")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
