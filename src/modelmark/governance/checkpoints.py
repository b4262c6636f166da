"""Making checkpoints of what the ledger holds, and holding the ledger against one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelmark.domain.errors import Missing, ModelmarkError, Tampered
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.stored import CHECKPOINT_HEAD, JOURNAL_HEAD
from modelmark.seal.checkpoint import Checkpoint, open_checkpoint, public_text, seal_checkpoint
from modelmark.seal.digests import digest_value
from modelmark.seal.heads import open_head
from modelmark.seal.keys import Signer, Verifier

#: Tables whose rows never go away.
GROWING: Final = ("versions", "evidence", "approvals", "waivers", "remarks", "snapshots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoints:
    """The newest checkpoint is kept in the ledger as well, so that numbers grow."""

    ledger: Ledger
    clock: Clock
    signer: Callable[[], Signer]

    def make(self) -> tuple[Checkpoint, bytes]:
        """A checkpoint of now, and its envelope. Raises Missing (NOTHING_YET) before the first act, Tampered where the one
        before was not signed here."""
        if self.ledger.last_event() is None:
            raise Missing("nothing happened here yet of which there could be a checkpoint", code="NOTHING_YET",
                          hint="is this the right workspace? see --workspace")  # fmt: skip
        signer = self.signer()
        with self.ledger.transaction():
            before = self.ledger.head(CHECKPOINT_HEAD)
            number = open_checkpoint(before.encode(), signer.verifier()).number + 1 if before else 1
            made = self._now(number, signer)
            envelope = seal_checkpoint(made, signer)
            self.ledger.set_head(CHECKPOINT_HEAD, envelope.decode())
        return made, envelope

    def newest(self) -> bytes | None:
        """The envelope of the last one made."""
        kept = self.ledger.head(CHECKPOINT_HEAD)
        return kept.encode() if kept else None

    def _now(self, number: int, signer: Signer) -> Checkpoint:
        last, snapshot, journal = self.ledger.last_event(), self.ledger.snapshot(), self.ledger.head(JOURNAL_HEAD)
        return Checkpoint(
            number=number,
            at=self.clock(),
            key=public_text(signer.verifier()),
            audit={"sequence": last.sequence, "hash": last.hash} if last else None,
            journal=dict(open_head(JOURNAL_HEAD, journal, signer.verifier())) if journal else None,
            snapshot={"sequence": snapshot.sequence, "digest": digest_value(snapshot)} if snapshot else None,
            counts=_counts(self.ledger),
        )


def require_number(checkpoint: Checkpoint, ledger: Ledger, verifier: Verifier) -> str:
    """The workspace's newest checkpoint is this one or a later one. Raises Tampered (ROLLED_BACK)."""
    kept = ledger.head(CHECKPOINT_HEAD)
    number = open_checkpoint(kept.encode(), verifier).number if kept else 0
    if number < checkpoint.number:
        raise Tampered(f"the newest checkpoint here is number {number}", code="ROLLED_BACK")
    return f"the newest here is number {number}"


def require_audit(checkpoint: Checkpoint, ledger: Ledger) -> str:
    """The audit goes through the checkpoint. Raises Tampered (ROLLED_BACK, AUDIT_REWRITTEN)."""
    if checkpoint.audit is None:
        return "there was no audit yet"
    sequence = int(checkpoint.audit["sequence"])
    found = next(iter(ledger.events(after=sequence - 1, limit=1)), None)
    if found is None or found.sequence != sequence:
        last = ledger.last_event()
        raise Tampered(
            f"the audit ends with event {last.sequence if last else 0}; the checkpoint saw event {sequence}",
            code="ROLLED_BACK",
        )
    if found.hash != checkpoint.audit["hash"]:
        raise Tampered(f"audit event {sequence} is not the one that the checkpoint saw", code="AUDIT_REWRITTEN")
    return f"event {sequence} is the one that was seen, {_since(ledger, sequence)} came since"


def require_rows(checkpoint: Checkpoint, ledger: Ledger) -> str:
    """No table that only grows has fewer rows, and the snapshot that was seen is there. Raises Tampered (ROLLED_BACK)."""
    now = _counts(ledger)
    for table, count in sorted(checkpoint.counts.items()):
        if now.get(table, 0) < count:
            raise Tampered(
                f"{table}: {now.get(table, 0)} rows; the checkpoint saw {count}", code="ROLLED_BACK", field=table
            )
    seen, snapshot = checkpoint.snapshot, ledger.snapshot()
    if seen is not None:
        if snapshot is None or snapshot.sequence < int(seen["sequence"]):
            found = snapshot.sequence if snapshot else 0
            raise Tampered(
                f"the last snapshot is number {found}; the checkpoint saw number {seen['sequence']}", code="ROLLED_BACK"
            )
        if snapshot.sequence == int(seen["sequence"]) and str(digest_value(snapshot)) != seen["digest"]:
            raise Tampered("the last snapshot is not the one that the checkpoint saw", code="SNAPSHOT_DIFFERS")
    return f"every table has at least the rows that were seen, {sum(checkpoint.counts.values())} in all"


def require_kept(ledger: Ledger, file: bytes | None, verify: Callable[[bytes], Checkpoint]) -> str:
    """The checkpoint beside the database is the one in it. Raises Tampered."""
    kept = ledger.head(CHECKPOINT_HEAD)
    if kept is None and file is None:
        return "none was made yet"
    if kept is None or file is None:
        where = "database" if kept is None else "workspace"
        raise Tampered(f"the newest checkpoint is gone from the {where}", code="CHECKPOINT_GONE")
    ours = verify(kept.encode())
    try:
        theirs = verify(file)
    except ModelmarkError as error:
        raise Tampered(f"the checkpoint file: {error.message}", code="CHECKPOINT_CHANGED") from None
    if theirs != ours:
        raise Tampered(
            f"the checkpoint file is number {theirs.number}, the database's number {ours.number}",
            code="CHECKPOINT_DIFFERS",
        )
    return f"number {ours.number}, of {ours.at:%Y-%m-%d %H:%M} UTC"


def _counts(ledger: Ledger) -> Mapping[str, int]:
    counted = ledger.row_counts()
    return {table: counted.get(table, 0) for table in GROWING}


def _since(ledger: Ledger, sequence: int) -> int:
    last: Any = ledger.last_event()
    return int(last.sequence - sequence)
