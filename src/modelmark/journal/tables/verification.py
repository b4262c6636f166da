"""Compacted history against its receipts, and receipts and log against the signed head.

What must be there follows from the head and from receipts it covers, never from what lies on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.receipts import (
    LOG,
    Damaged,
    Receipts,
    check_file,
    commit_facts,
    log_name,
    table_names,
)
from modelmark.journal.tables.witness import JournalHead, SignatureCheck, require_head
from modelmark.journal.wal.reader import Anchor, SegmentFile, read_segment, verify_wal
from modelmark.journal.wal.writer import SEALED
from modelmark.seal.digests import digest_file

#: How the name of an item ends whose records never reached the disk: a note, no fault.
LOST: Final = "lost in a power cut"


def verify_journal(workspace: Workspace, head: JournalHead | None, check: SignatureCheck) -> Iterator[tuple[str, int]]:
    """(name, records) of every table and every writer of the log, all of it covered by the head.

    Raises Tampered naming the first bad item. head: None where nothing was ever compacted or witnessed; then there is
    nothing but a log.
    """
    receipts = read_receipts(workspace, head, check)
    yield "receipts", receipts.lines
    yield from _tables(workspace, receipts)
    anchors = dict(receipts.anchors)
    for writer, end in sorted((head.writers if head else {}).items()):
        _require_segment(workspace, writer, end, anchors.get(writer))
    report = verify_wal(workspace.wal, anchors)
    for found in report.writers:
        yield f"log of writer {found.writer[:8]}", found.records
    if report.bad:
        raise report.bad


def verify_tables(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """(table, rows) for each compacted table whose files are what its receipts say. Takes the receipts as they are."""
    yield from _tables(workspace, Receipts.of(workspace))


def verify_position(workspace: Workspace, head: JournalHead, check: SignatureCheck) -> int:
    """The number of receipts, which go through an earlier head, and every segment it saw is there or compacted since.
    Raises Tampered."""
    receipts = Receipts(workspace.receipts)
    require_head(receipts, head, check)
    for writer, end in sorted(head.writers.items()):
        _require_segment(workspace, writer, end, receipts.anchors.get(writer))
    return receipts.lines


def read_receipts(workspace: Workspace, head: JournalHead | None, check: SignatureCheck) -> Receipts:
    """The receipts, which go through the head. Raises Tampered: HEAD_GONE, or as `require_head`."""
    if head is None and (workspace.receipts.exists() or table_names(workspace)):
        raise Tampered(
            "there are tables or receipts, and no signed head of the journal", code="HEAD_GONE", field="journal"
        )
    receipts = Receipts(workspace.receipts)
    require_head(receipts, head, check)
    return receipts


def _require_segment(workspace: Workspace, writer: str, end: Anchor, compacted: Anchor | None) -> None:
    """What was witnessed as sealed is compacted since, or is there as it was."""
    if compacted is not None and compacted.number >= end.number:
        if compacted.number == end.number and compacted.link != end.link:
            raise _gone(writer, end, "was compacted with another end than the witnessed one")
        return
    path = workspace.wal / writer / f"{end.number:012d}{SEALED}"
    if not path.is_file():
        raise _gone(writer, end, "is gone")
    if read_segment(SegmentFile(writer, end.number, path)).end != end:
        raise _gone(writer, end, "is not the one that was witnessed")


def _gone(writer: str, end: Anchor, what: str) -> Tampered:
    name = f"{writer}/{end.number:012d}{SEALED}"
    return Tampered(f"journal segment {writer[:8]}/{end.number:012d}{SEALED} {what}", code="SEGMENT_GONE", field=name)


def _tables(workspace: Workspace, receipts: Receipts) -> Iterator[tuple[str, int]]:
    for name in sorted(set(receipts.versions) | set(table_names(workspace))):
        yield name, _verify_table(workspace, receipts, name)
    held = sorted(path for path in workspace.quarantine.rglob("*") if path.is_file())
    if held:
        name = held[0].relative_to(workspace.quarantine).as_posix()
        raise Tampered(
            f"journal segment {name} was found damaged and set aside{_of(receipts.damaged.get(name.partition('.')[0]))}",
            code="QUARANTINED",
            field=name,
            hint="modelmark journal salvage takes what can be read, also from a sound copy put in its place; "
            "move it out of the quarantine folder to accept the loss",
        )
    cut: Counter[str] = Counter()
    for name, known in receipts.damaged.items():
        cut[name[:8]] += 0 if known.aside else sum(count or 0 for _, count in known.gaps)
    for writer, records in sorted(cut.items()):
        if records:
            yield f"log of writer {writer}, {LOST}", records


def _of(known: Damaged | None) -> str:
    if known is None:
        return ""
    if any(count is None for _, count in known.gaps):
        return "; records are missing, nothing tells how many"
    where = ", ".join(f"{first} to {first + count - 1}" for first, count in known.gaps if count)
    return f"; {sum(count or 0 for _, count in known.gaps):,} records are missing{where and f' (sequence {where})'}"


def _verify_table(workspace: Workspace, receipts: Receipts, name: str) -> int:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    folder = workspace.tables / name
    known = receipts.versions.get(name)
    _verify_log(folder, name, receipts)
    try:
        for version in _later(folder, -1 if known is None else known):
            _require_intended(workspace, receipts, name, version)
        if known is None:
            return 0
        active = set(DeltaTable(str(folder), version=known).get_add_actions(flatten=True)["path"].to_pylist())
    except (DeltaError, TableNotFoundError, OSError, ValueError, AttributeError, RecursionError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise Tampered(f"table {name} cannot be read: {why}", code="TABLE_DAMAGED", field=name) from None
    expected = receipts.files.get(name, {})
    for path in sorted(active ^ set(expected)):
        what = "has no receipt" if path in active else "is gone from the table"
        raise Tampered(f"table {name}: file {path} {what}", code="FILE_UNACCOUNTED", field=f"{name}/{path}")
    for path in sorted(expected):
        check_file(folder, name, expected[path])
    for path, item in sorted(receipts.replaced.get(name, {}).items()):
        if (folder / path).exists():  # kept a while for queries that still read it
            check_file(folder, name, item)
    return sum(item.rows for item in expected.values())


def _later(folder: Path, known: int) -> list[int]:
    """Commits after the last that has a receipt, whether Delta would read them or not."""
    numbers = [int(path.stem) for path in (folder / LOG).glob("*.json") if path.stem.isdigit()]
    return sorted(number for number in numbers if number > known)


def _verify_log(folder: Path, name: str, receipts: Receipts) -> None:
    """Every file of the table's log that has a receipt is as it was; what a checkpoint stands for may be gone."""
    known, checkpoint = receipts.logs.get(name, {}), receipts.checkpoints.get(name, -1)
    for file, digest in sorted(known.items()):
        path = folder / LOG / file
        if not path.is_file():
            if file[:20].isdigit() and int(file[:20]) < checkpoint:
                continue
            raise Tampered(f"table {name}: {file} of its log is gone", code="LOG_GONE", field=f"{name}/{LOG}/{file}")
        if digest_file(path).hex != digest:
            raise Tampered(f"table {name}: {file} of its log was changed", code="LOG_CHANGED",
                           field=f"{name}/{LOG}/{file}")  # fmt: skip
    for path in sorted((folder / LOG).glob("*")):
        if path.name not in known and not _comes(path.name, name, receipts):
            raise Tampered(f"table {name}: {path.name} of its log has no receipt", code="LOG_UNACCOUNTED",
                           field=f"{name}/{LOG}/{path.name}")  # fmt: skip


def _comes(file: str, name: str, receipts: Receipts) -> bool:
    """Whether a file of a table's log may be there before its receipt: a later commit, an intended checkpoint, or what
    Delta writes under a name of its own before it counts."""
    intent, number = receipts.intents.get(name), int(file[:20]) if file[:20].isdigit() else None
    if number is not None and file == log_name(number):
        return number > receipts.versions.get(name, -1)
    if file.endswith(".tmp"):
        return True
    coming = intent.checkpoint if intent else None
    return coming is not None and (number == coming or file == "_last_checkpoint")


def _require_intended(workspace: Workspace, receipts: Receipts, name: str, version: int) -> None:
    """A commit without a receipt is ours only where a crash came between intent and receipt, and what it holds is still in
    the log."""
    facts, _, _ = commit_facts(workspace.tables / name, version)
    intent = receipts.intents.get(name)
    ours = bool(facts) and intent is not None and intent.first <= version <= intent.last
    for writer, number in (facts.get("newest") or {}).items() if ours else ():
        ours = ours and (workspace.wal / writer / f"{number:012d}{SEALED}").is_file()
    if not ours:
        raise Tampered(f"table {name}: commit {version} is not ours", code="FOREIGN_COMMIT", field=name, row=version)
