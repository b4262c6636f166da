"""Bringing a version's files back from MLflow."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.ports import ArtifactStore
from modelmark.domain.version import DESCRIPTION, Version
from modelmark.registry.mlflow import Tracking


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    artifacts: ArtifactStore
    tracking: Tracking

    def __call__(self, version: Version) -> Path:
        """Where the files lie now. Their digests are checked first: nothing else takes a file's place.

        Raises Tampered when they are not the version's bytes, NotYet when MLflow cannot be reached.
        """
        with tempfile.TemporaryDirectory(prefix="modelmark-") as name:
            scratch = Path(name)
            self.tracking.fetch(version, scratch)
            if self.artifacts.size(version.id, DESCRIPTION) is None:
                self.artifacts.add(version.id, scratch)
            else:  # what MLflow does not have, such as a mark it never got, stays
                for path in (path for path in scratch.rglob("*") if path.is_file()):
                    self.artifacts.write(version.id, path.relative_to(scratch).as_posix(), path.read_bytes())
        return self.artifacts.folder(version.id)
