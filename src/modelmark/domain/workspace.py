"""Where everything of one installation lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import Rejected

#: What deltalake takes for a part of an address and not of a name: it ends the process at [, and looks elsewhere at %20.
_NO_NAMES: Final = frozenset("[]%")


def require_delta(path: Path, field: str) -> None:
    """Raises Rejected (BAD_PLACE) where deltalake cannot write or read a table below the path."""
    if _NO_NAMES & set(str(path)):
        raise Rejected(
            f"Delta Lake keeps no table in {path}", code="BAD_PLACE", field=field,
            limit="a path without " + " ".join(sorted(_NO_NAMES)), hint="move or rename the folder",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths only; nothing is created by asking."""

    root: Path

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow-artifacts"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def snapshot(self) -> Path:
        """The signed release snapshot that workers follow."""
        return self.root / "snapshot.dsse.json"

    @property
    def checkpoint(self) -> Path:
        """The newest signed checkpoint of everything here. A copy elsewhere is what it is for."""
        return self.root / "checkpoint.dsse.json"

    @property
    def versions(self) -> Path:
        return self.root / "versions"

    def version(self, id: Digest) -> Path:
        return self.versions / id.hex

    def report(self, id: Digest) -> Path:
        return self.root / "reports" / f"{id.hex}.html"

    def bill(self, id: Digest) -> Path:
        """The CycloneDX bill of materials beside the report."""
        return self.root / "reports" / f"{id.hex}.sbom.json"

    @property
    def wal(self) -> Path:
        """One folder per journal writer, one file per segment."""
        return self.root / "journal" / "wal"

    @property
    def tables(self) -> Path:
        """Delta Lake tables, one folder each: `predictions/<model>`, `labels`, `refusals`."""
        return self.root / "journal" / "tables"

    @property
    def receipts(self) -> Path:
        """A hash-chained line for everything that compaction did."""
        return self.root / "journal" / "receipts.jsonl"

    @property
    def quarantine(self) -> Path:
        return self.root / "journal" / "quarantine"

    @property
    def retraining(self) -> Path:
        """One folder per model, one in it per retraining: tables, code, model, contract, and how it came about."""
        return self.root / "retraining"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def runtime(self) -> Path:
        """Process ids, sockets and metric files of what runs now."""
        return self.root / "run"
