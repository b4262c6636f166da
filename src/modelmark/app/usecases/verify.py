"""Every mark, the audit, the snapshot and the journal, checked offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.workspace import Workspace
from modelmark.governance.people import People
from modelmark.governance.verify import Item, verify
from modelmark.journal.tables.receipts import Receipts, verify_tables
from modelmark.journal.wal.reader import verify_wal
from modelmark.seal.keys import Verifier
from modelmark.seal.snapshot import read_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """workspace: where the snapshot and the journal lie."""

    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    people: People
    verifier: Callable[[], Verifier]

    def __call__(self) -> Iterator[Item]:
        """One item each; a fault in one does not hide the next. Raises Missing where there is no key to verify with."""
        verifier = self.verifier()
        return verify(
            self.artifacts,
            self.ledger,
            verifier,
            people=self.people,
            snapshot=lambda: read_snapshot(self.workspace.snapshot, verifier),
            journal=self._journal,
        )

    def _journal(self) -> Iterator[tuple[str, int]]:
        yield from verify_tables(self.workspace)
        report = verify_wal(self.workspace.wal, Receipts.of(self.workspace).anchors)
        for writer in report.writers:
            yield f"log of writer {writer.writer[:8]}", writer.records
        if report.bad:
            raise report.bad
