"""What this workspace's workers have believed: the newest snapshot, kept through restarts, and copies of what serves.

All of it lies in `run/` and is believed as little as what it stands in for: signatures and digests are checked at each
reading. So damaged keys, snapshots and version folders change nothing for what serves, and an older snapshot that comes
back is refused by a worker that has just started, too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.routes import Snapshot
from modelmark.domain.workspace import Workspace
from modelmark.seal.keys import Verifier
from modelmark.seal.snapshot import keep_snapshot, open_snapshot
from modelmark.serving.models import LoadedModel, load_marked

#: The newest snapshot that was followed, and the newest of which every version could be loaded.
NEWEST: Final = "served.json"
WHOLE: Final = "served-whole.json"


@dataclass(frozen=True, slots=True)
class Believable:
    """snapshots: what may be followed, the one to follow first, then what it falls back to, model by model. data: the
    bytes of the first. problems: what could not be believed."""

    snapshots: tuple[Snapshot, ...]
    data: bytes
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Believed:
    workspace: Workspace

    @property
    def released(self) -> bool:
        """There has been a release, whether it can be read or not."""
        return any(path.exists() for path in (self.workspace.snapshot, *self._kept))

    def snapshots(self, verifier: Verifier) -> Believable:
        """The published snapshot, unless it is damaged, or older than one that was followed. Raises Missing or Tampered
        where there is nothing at all to follow."""
        problems: list[str] = []
        first, fault = self._read(self.workspace.snapshot, verifier)
        kept = [found for path in self._kept if (found := self._read(path, verifier)[0]) is not None]
        newest = max(kept, key=lambda found: found[0].sequence, default=None)
        if first is None and newest is None and fault is not None:
            raise fault
        if fault is not None:
            problems.append(str(fault))
        if first is not None and newest is not None and first[0].sequence < newest[0].sequence:
            older, last = first[0].sequence, newest[0].sequence
            problems.append(f"snapshot {older} is older than {last}, which was served: not followed")
            first = None
        chosen = first or newest
        assert chosen is not None  # else the fault was raised
        others = sorted((s for s, _ in kept if s.sequence < chosen[0].sequence), key=lambda s: -s.sequence)
        return Believable((chosen[0], *others), chosen[1], tuple(problems))

    def keep(self, data: bytes, verifier: Verifier, *, whole: bool) -> Iterator[str]:
        """Remember a snapshot that is followed; whole: every version of it could be loaded. Yields what went wrong."""
        for path in self._kept if whole else self._kept[:1]:
            try:
                keep_snapshot(path, data, verifier)
            except OSError as error:
                yield f"the snapshot could not be kept for a restart: {error}"

    def load(self, id: Digest, verifier: Verifier, *, may_wait: bool = False) -> tuple[LoadedModel, bool]:
        """A version, and whether it came from its own folder; else from the copy of when that was well.

        Raises what its folder raised where there is no good copy. may_wait: as of `LoadedModel`.
        """
        try:
            return load_marked(self.workspace.version(id), verifier, id, may_wait=may_wait), True
        except Exception as error:  # noqa: BLE001  # a model's runtime raises what it likes
            try:
                return load_marked(self._copy(id), verifier, id, may_wait=may_wait), False
            except Exception:  # noqa: BLE001  # the folder's own fault is the one to tell
                raise error from None

    def copy(self, ids: Collection[Digest], well: Collection[Digest]) -> Iterator[str]:
        """Have copies of these versions and of no others. well: those whose folders are as signed now, and may be copied.
        Yields what went wrong."""
        folder = self.workspace.runtime / "versions"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for id in ids:
                if id in well and not self._copy(id).exists():
                    self._copy_in(folder, id)
            for path in folder.iterdir():
                if path.name not in {id.hex for id in ids} and not path.name.startswith("."):
                    shutil.rmtree(path, ignore_errors=True)
        except OSError as error:
            yield f"no copy of what serves could be kept for a restart: {error}"

    def _copy_in(self, folder: Path, id: Digest) -> None:
        """Whole, or not at all. Another worker may be quicker; both copies are the same."""
        scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        try:
            shutil.copytree(self.workspace.version(id), scratch, dirs_exist_ok=True)
            if not self._copy(id).exists():
                scratch.rename(self._copy(id))
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _copy(self, id: Digest) -> Path:
        return self.workspace.runtime / "versions" / id.hex

    @property
    def _kept(self) -> tuple[Path, Path]:
        return self.workspace.runtime / NEWEST, self.workspace.runtime / WHOLE

    @staticmethod
    def _read(path: Path, verifier: Verifier) -> tuple[tuple[Snapshot, bytes] | None, Missing | Tampered | None]:
        try:
            data = path.read_bytes()
            return (open_snapshot(data, verifier), data), None
        except FileNotFoundError:
            return None, Missing("no release yet: there is no snapshot to follow", code="NO_SNAPSHOT")
        except (Tampered, OSError) as error:
            return None, Tampered(f"the release snapshot cannot be believed: {error}", code="BAD_SNAPSHOT")
