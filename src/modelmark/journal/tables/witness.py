"""Where the journal stands, for somebody with the workspace's key to sign: what was seen can no longer be cut unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from modelmark.domain.errors import NotYet, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.lock import only_committer
from modelmark.journal.tables.receipts import Receipts
from modelmark.journal.wal.reader import Anchor, folders, read_segment, segment_files
from modelmark.journal.wal.writer import SEALED

#: Checks the signature of a receipt's link. Raises Tampered.
SignatureCheck = Callable[[bytes, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalHead:
    """lines and link: of the receipts. writers: where each writer's newest sealed segment ends that is not compacted."""

    lines: int
    link: bytes
    writers: Mapping[str, Anchor]

    def plain(self) -> dict[str, Any]:
        """As it is signed: links in hexadecimal."""
        return {
            "receipts": {"lines": self.lines, "link": self.link.hex()},
            "writers": {
                writer: {"segment": end.number, "sequence": end.sequence, "link": end.link.hex()}
                for writer, end in sorted(self.writers.items())
            },
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Raises Tampered for anything that `plain` did not give."""
        try:
            receipts = value["receipts"]
            return cls(
                lines=int(receipts["lines"]),
                link=bytes.fromhex(receipts["link"]),
                writers={
                    writer: Anchor(int(end["segment"]), int(end["sequence"]), bytes.fromhex(end["link"]))
                    for writer, end in value["writers"].items()
                },
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Tampered("the head of the journal lacks its facts", code="BAD_HEAD", field="journal") from None


class Witness(Protocol):
    """Signs for the journal; the log's writers hold no key."""

    def sign(self, link: bytes) -> str:
        """The signature of a receipt's link base64."""
        ...

    def check(self, link: bytes, signature: str) -> None:
        """Raises Tampered unless `sign` gave this signature of this link."""
        ...

    def keep(self, head: JournalHead) -> None:
        """Sign and keep where the journal stands, outside the journal."""
        ...

    def kept(self) -> JournalHead | None:
        """What was kept last; None before anything was. Raises Tampered for what was not signed here."""
        ...


def require_head(receipts: Receipts, head: JournalHead | None, check: SignatureCheck) -> None:
    """Read the receipts from the start; they go through the head. Raises Tampered: RECEIPTS_GONE, RECEIPTS_CUT,
    RECEIPTS_REWRITTEN, or RECEIPT_UNSIGNED for lines after the head that nobody with the key wrote."""
    wanted = head.lines if head else 0
    if wanted and not receipts.path.exists():
        raise _receipts(f"the journal's receipts are gone, {wanted} of them", "RECEIPTS_GONE", None)
    for _ in receipts.read():
        if receipts.signature is not None:
            check(receipts.link, receipts.signature)
        if head is not None and receipts.lines == wanted and receipts.link != head.link:
            raise _receipts(f"journal receipt {wanted} is not the one that was signed", "RECEIPTS_REWRITTEN", wanted)
    if receipts.lines < wanted:
        said = f"the journal has {receipts.lines} receipts, its signed head tells of {wanted}"
        raise _receipts(said, "RECEIPTS_CUT", receipts.lines)
    if receipts.lines > wanted and receipts.signature is None:
        raise _receipts(f"journal receipt {receipts.lines} is not signed", "RECEIPT_UNSIGNED", receipts.lines)


def _receipts(what: str, code: str, row: int | None) -> Tampered:
    return Tampered(what, code=code, field="receipts.jsonl", row=row)


def see(workspace: Workspace, witness: Witness) -> JournalHead | None:
    """Keep where the journal stands now, without compacting anything. None while somebody compacts: they keep it.

    Raises Tampered, keeping nothing, when the receipts do not go through the head that was kept last.
    """
    try:
        with only_committer(workspace):
            receipts = Receipts(workspace.receipts)
            before = witness.kept()
            require_head(receipts, before, witness.check)
            ends = sealed_ends(workspace, receipts.anchors)
            head = JournalHead(lines=receipts.lines, link=receipts.link, writers=ends)
            if head != before:
                witness.keep(head)
            return head
    except NotYet as error:
        if error.code != "COMPACTION_RUNS":
            raise
        return None


def sealed_ends(workspace: Workspace, anchors: Mapping[str, Anchor]) -> dict[str, Anchor]:
    """Where the newest sound sealed segment of each writer ends, read whole. Compaction tells of one that is damaged."""
    found: dict[str, Anchor] = {}
    for folder in folders(workspace.wal):
        known = anchors.get(folder.name)
        for file in reversed(segment_files(folder, SEALED)):
            if known is not None and file.number <= known.number:
                break
            try:
                found[folder.name] = read_segment(file).end
            except Tampered:
                continue
            break
    return found
