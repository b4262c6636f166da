"""Every mark, row, file and chain, checked offline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Missing, Tampered
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import JOURNAL_HEAD, Row
from modelmark.domain.workspace import Workspace
from modelmark.governance.verify import PENDING, Item, verify, verify_against
from modelmark.journal.tables.verification import verify_journal, verify_position
from modelmark.journal.tables.witness import JournalHead
from modelmark.seal.checkpoint import Checkpoint, checkpoint_turn, open_checkpoint
from modelmark.seal.digests import canonical
from modelmark.seal.files import between_turns
from modelmark.seal.heads import check_receipt, open_head
from modelmark.seal.keys import Verifier, read_public, require_pair
from modelmark.seal.snapshot import read_snapshot
from modelmark.storage.exports import write_into

#: How often a workspace that goes on is looked at, until nothing looks like a fault.
TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """workspace: where the snapshot, the keys and the journal lie. pending: what the last act still waits for, a sentence each."""

    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    verifier: Callable[[], Verifier]
    pending: Callable[[], Sequence[str]] = tuple

    def __call__(self) -> Iterator[Item]:
        """One item each; a fault in one does not hide the next. Raises Missing or NotPermitted where there is no key to
        verify with.

        Rows, heads and segments are read one after the other, while others may write: what looks like a fault is looked for
        again when the workspace went on meanwhile.
        """
        verifier = self.verifier()
        for _ in range(TRIES):
            before = self._stands_at()
            items = list(self._items(verifier))
            if not any(item.fault for item in items) or self._stands_at() == before:
                break
        return chain(items, self._pending())

    def _stands_at(self) -> object:
        """Differs once anything was written that verification reads; the same for what cannot be read twice."""
        try:
            heads: object = dict(self.ledger.heads())
        except Exception as error:  # noqa: BLE001 - what cannot be read becomes an item's fault
            heads = type(error)
        return heads, sorted(map(str, self.workspace.wal.glob("*/*")))

    def _items(self, verifier: Verifier) -> Iterator[Item]:
        return verify(
            self.artifacts,
            self.ledger,
            verifier,
            keys=self._keys,
            snapshot=lambda: self._snapshot(verifier),
            checkpoint=self._checkpoint,
            between=lambda: between_turns(checkpoint_turn(self.workspace)),
            journal=lambda: self._journal(verifier),
        )

    def _pending(self) -> Iterator[Item]:
        """No faults: what is left is noted in what nothing signs, and comes again."""
        try:
            said = self.pending()
        except Exception as error:  # noqa: BLE001 - what cannot be read was named above
            said = [f"cannot be told: {type(error).__name__}"]
        for sentence in said:
            yield Item(kind=PENDING, name="last act", sentence=sentence)

    def write_ledger(self, path: Path) -> int:
        """Every row that verification reads, one JSON line each, for the stand-alone verifier. The number of lines."""
        summed = [row for rows in self.ledger.summed_rows().values() for row in rows]
        rows = [*self.ledger.rows(), *self.ledger.audit_rows(), *summed]
        heads = [
            Row(table="heads", key=name, columns={"name": name, "body": body})
            for name, body in self.ledger.heads().items()
        ]
        lines = [canonical({"table": row.table, "columns": row.columns}) + b"\n" for row in (*rows, *heads)]
        write_into(path.parent, path.name, b"".join(lines))
        return len(lines)

    def against(self, checkpoint: Path, key: Path | None = None) -> Iterator[Item]:
        """The workspace against a checkpoint kept elsewhere. key: the public key, kept elsewhere too; None takes the
        workspace's own. Raises Missing, NotPermitted (BAD_KEY) or Tampered where one of the two cannot be believed."""
        verifier = self.verifier() if key is None else _public(key)
        opened = open_checkpoint(_file(checkpoint), verifier)
        return verify_against(
            opened,
            self.ledger,
            verifier,
            key=lambda: self._same_key(verifier),
            journal=lambda: self._position(opened, verifier),
        )

    def _same_key(self, verifier: Verifier) -> str:
        ours = self.verifier()
        if ours.key_id != verifier.key_id:
            raise Tampered("the workspace's public key is not the one that signed the checkpoint", code="KEY_REPLACED")
        return f"the workspace's key signed it ({ours.key_id[:19]})"

    def _position(self, checkpoint: Checkpoint, verifier: Verifier) -> str:
        if checkpoint.journal is None:
            return "there was no journal yet"
        head = JournalHead.of(checkpoint.journal)
        lines = verify_position(self.workspace, head, partial(check_receipt, verifier))
        return f"receipt {head.lines} is the one that was seen, {lines - head.lines} came since"

    def _keys(self) -> str:
        require_pair(self.workspace.keys)
        return "its owner's alone, and the half of the public one"

    def _snapshot(self, verifier: Verifier) -> Snapshot | None:
        try:
            return read_snapshot(self.workspace.snapshot, verifier)
        except Missing:
            return None

    def _checkpoint(self) -> bytes | None:
        try:
            return self.workspace.checkpoint.read_bytes()
        except FileNotFoundError:
            return None

    def _journal(self, verifier: Verifier) -> Iterator[tuple[str, int]]:
        envelope = self.ledger.head(JOURNAL_HEAD)
        head = None if envelope is None else JournalHead.of(open_head(JOURNAL_HEAD, envelope, verifier))
        yield from verify_journal(self.workspace, head, partial(check_receipt, verifier))


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Missing(f"{path} cannot be read: {error.strerror}", code="NO_FILE", field="--checkpoint") from None


def _public(path: Path) -> Verifier:
    if not path.is_file():
        raise Missing(f"there is no key file {path}", code="NO_KEY", field="--key")
    return read_public(path)
