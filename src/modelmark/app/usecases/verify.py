"""Every mark, row, file and chain, checked offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from modelmark.domain.errors import Missing
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import JOURNAL_HEAD
from modelmark.domain.workspace import Workspace
from modelmark.governance.verify import Item, verify
from modelmark.journal.tables.verification import verify_journal
from modelmark.journal.tables.witness import JournalHead
from modelmark.seal.heads import check_receipt, open_head
from modelmark.seal.keys import Verifier, require_pair
from modelmark.seal.snapshot import read_snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """workspace: where the snapshot, the keys and the journal lie."""

    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]

    def __call__(self) -> Iterator[Item]:
        """One item each; a fault in one does not hide the next. Raises Missing or NotPermitted where there is no key to
        verify with."""
        verifier = self.verifier()
        return verify(
            self.artifacts,
            self.ledger,
            verifier,
            keys=self._keys,
            snapshot=lambda: self._snapshot(verifier),
            journal=lambda: self._journal(verifier),
        )

    def _keys(self) -> str:
        require_pair(self.workspace.keys)
        return "its owner's alone, and the half of the public one"

    def _snapshot(self, verifier: Verifier) -> Snapshot | None:
        try:
            return read_snapshot(self.workspace.snapshot, verifier)
        except Missing:
            return None

    def _journal(self, verifier: Verifier) -> Iterator[tuple[str, int]]:
        envelope = self.ledger.head(JOURNAL_HEAD)
        head = None if envelope is None else JournalHead.of(open_head(JOURNAL_HEAD, envelope, verifier))
        yield from verify_journal(self.workspace, head, partial(check_receipt, verifier))
