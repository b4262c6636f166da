"""Compaction: sealed segments of the write-ahead log become rows of Delta Lake tables, exactly once.

One process commits at a time (a file lock says who). A pass goes: close what dead writers left open; read sealed
segments and check each against where its writer's chain stood; append one commit per table, which carries the newest
segment number of every writer as a Delta application transaction; sync what the commits added (deltalake does not);
write and sync receipts; only then delete the segments. Whatever a crash interrupts is found again in the next pass: a
commit without a receipt by its intent (it is undone, and comes again), a segment that should be gone by its receipt.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.commits import (
    AT_ONCE,
    Batch,
    Source,
    by_table,
    commit,
    next_commits,
    no_hooks,
    open_table,
    writer_properties,
)
from modelmark.journal.tables.damage import Reading, read_for_rows, segment_name, set_aside
from modelmark.journal.tables.lock import only_committer
from modelmark.journal.tables.receipts import (
    LOG,
    OURS,
    Intent,
    Receipts,
    check_file,
    commit_facts,
    log_name,
    segment_key,
    table_names,
)
from modelmark.journal.tables.undo import undo_unfinished
from modelmark.journal.tables.witness import JournalHead, Witness, require_head, sealed_ends
from modelmark.journal.wal.disk import sync_folder
from modelmark.journal.wal.reader import (
    Anchor,
    Segment,
    SegmentFile,
    alive,
    folders,
    in_order,
    segment_files,
)
from modelmark.journal.wal.records import Record, Schema
from modelmark.journal.wal.recovery import recover_all
from modelmark.journal.wal.writer import LOCK, OPEN, SEALED
from modelmark.seal.chain import START
from modelmark.seal.digests import digest_file

PASS_BYTES: Final = 4 * 1024 * 1024  # about 13,000 small records; a segment is read whole, and may be of 16 MiB
SMALL_FILES: Final = 32  # so many files below one of the sizes are rewritten into files of that size
#: Bytes. Each row is rewritten once a size, not with every minute's few files, each of which stays a while (KEEP_HOURS).
MERGED: Final = (2**20, 2**23, 2**26)
CHECKPOINT_EVERY: Final = 50  # commits
KEEP_HOURS: Final = 1  # how long a replaced file stays, for queries that still read it


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """What one pass did. rows: appended, by table. segments: retired. dropped: bytes of torn tails cut off.
    damaged: what was found broken and set aside or skipped. more: sealed segments are left for the next pass."""

    rows: Mapping[str, int]
    segments: int
    dropped: int
    damaged: tuple[Tampered, ...]
    more: bool


def compact(workspace: Workspace, witness: Witness | None = None) -> Compacted:
    """One pass with nothing remembered. Raises NotYet (COMPACTION_RUNS) while another process is at it."""
    return Compactor(workspace, witness=witness).run()


class Compactor:
    """Keeps what it read of the receipts between passes."""

    def __init__(self, workspace: Workspace, *, witness: Witness | None = None, pass_bytes: int = PASS_BYTES) -> None:
        """witness: signs receipts and keeps their head. None leaves the journal without one, as a view for tests has it."""
        self._workspace = workspace
        self._witness = witness
        self._kept: JournalHead | None = None
        self._begun = False  # until the receipts went through their head
        self._pass_bytes = pass_bytes
        self.receipts = Receipts(workspace.receipts)
        self._schemas: dict[str, Schema] = {}

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Around whatever writes tables and receipts. Raises NotYet (COMPACTION_RUNS) while another process does, and
        Tampered when the receipts do not go through their head."""
        with only_committer(self._workspace):
            self._load()
            undo_unfinished(self._workspace, self.receipts)
            yield
            self._keep_head()

    def run(self) -> Compacted:
        with self.committing():
            damaged: list[Tampered] = []
            damaged += self.settle()
            dropped, left = 0, set[str]()
            for found in recover_all(self._workspace.wal):
                left |= {segment_name(file) for file in found.left}
                dropped += found.dropped
            segments, faults, more = self._read(left)
            rows = self.append(Source(s.file.writer, s.file.number, s.records) for s in segments)
            damaged += self.settle()
            self._retire(segments, faults)
            damaged += (one.fault for one in faults.values() if one.fault)
            self._sweep()
            return Compacted(rows=rows, segments=len(segments), dropped=dropped, damaged=tuple(damaged), more=more)

    def maintain(self) -> tuple[Tampered, ...]:
        """Rewrite many small files into few, checkpoint Delta's log, remove what nobody reads. Bounded by the small
        files."""
        with self.committing():
            damaged = self.settle()
            for name in table_names(self._workspace):
                damaged += self._maintain(name)
            return tuple(damaged)

    def _load(self) -> None:
        """Raises Tampered, changing nothing, when the receipts do not go through their signed head: more of them would
        hide what is gone."""
        if not self._begun:
            self.receipts = Receipts(self._workspace.receipts)
            self._kept = self._witness.kept() if self._witness else None
            self.receipts.cut_unfinished(head=self._kept.lines if self._kept else 0, signed=self._witness is not None)
            if self._witness is not None:
                require_head(self.receipts, self._kept, self._witness.check)
            self._begun = True
        self.receipts.load(repair=True)

    def _keep_head(self) -> JournalHead:
        receipts = self.receipts
        ends = sealed_ends(self._workspace, receipts.anchors)
        head = JournalHead(lines=receipts.lines, link=receipts.link, writers=ends)
        if self._witness is not None and head != self._kept:
            self._witness.keep(head)
            self._kept = head
        return head

    def tell(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Receipts, signed where there is somebody to sign."""
        self.receipts.append(lines, self._witness.sign if self._witness else None)

    def _intend(self, ranges: Mapping[str, Intent]) -> None:
        """Say what comes before it comes, so that no other commit is taken for ours."""
        self.tell(
            [
                {"kind": "intent", "table": name, "first": i.first, "last": i.last,
                 **({} if i.checkpoint is None else {"checkpoint": i.checkpoint})}
                for name, i in ranges.items()
            ]
        )  # fmt: skip

    def _read(self, left: Collection[str]) -> tuple[list[Segment], dict[SegmentFile, Reading], bool]:
        """Segments, each checked to continue the one before, or what is sound in them, with its faults.

        left: open segments of dead writers that are damaged, as WRITER/FILE.
        """
        segments: list[Segment] = []
        faults: dict[SegmentFile, Reading] = {}
        size = 0
        for folder in folders(self._workspace.wal):
            after: Anchor | None = self.receipts.anchors.get(folder.name, Anchor(-1, 0, START))
            files = in_order(folder)
            for number, file in enumerate(files):
                if file.path.suffix == OPEN and segment_name(file) not in left:
                    continue
                if after is not None and file.number <= after.number:
                    self._end(file)  # its receipt is written; a crash came before it could go
                    continue
                if size >= self._pass_bytes:
                    return segments, faults, True
                found = read_for_rows(file, after, files[number + 1 : number + 2])
                if found.fault:
                    faults[file] = found
                if found.fault and found.line is None:
                    break  # nothing after it may be retired before it
                after = found.segment.end if found.segment else None
                if found.segment:
                    segments.append(found.segment)
                    size += found.segment.size
        return segments, faults, False

    def _end(self, file: SegmentFile) -> None:
        """A segment whose records are taken goes; a damaged one is kept in quarantine."""
        known = self.receipts.damaged.get(segment_key(file.writer, file.number))
        if known and known.aside:
            set_aside(self._workspace, segment_name(file))
        else:
            file.path.unlink()

    def append(self, sources: Iterable[Source]) -> dict[str, int]:
        """One commit per table, skipping what was committed before. Rows, by table."""
        batches: dict[str, Batch] = defaultdict(Batch)
        done: dict[str, Any] = {}
        for source, some in _pieces(sources):
            for name, records in by_table(some, self._schemas).items():
                if name not in done:
                    done[name] = open_table(self._workspace.tables / name)
                table = done[name]
                seen = table.transaction_version(source.name) if table is not None else None
                if seen is None or seen < source.number:
                    batches[name].take(name, records, self._schemas)
                    batches[name].newest[source.name] = source.number
        self._intend({name: next_commits(done[name]) for name in sorted(batches)})
        return {
            name: commit(self._workspace.tables / name, batch, self._schemas, done[name])
            for name, batch in sorted(batches.items())
        }

    def settle(self) -> list[Tampered]:
        """Sync and write receipts for every commit that has none."""
        lines: list[dict[str, Any]] = []
        damaged: list[Tampered] = []
        for name in table_names(self._workspace):
            table = self._workspace.tables / name
            first = self.receipts.versions.get(name, -1) + 1
            while (table / LOG / log_name(first)).exists():
                try:
                    lines.append(self._receipt(table, name, first))
                except Tampered as error:
                    damaged.append(error)
                first += 1
            intent = self.receipts.intents.get(name)
            if intent and intent.checkpoint is not None and self.receipts.checkpoints.get(name) != intent.checkpoint:
                self._checkpoint(name)  # a crash came between the two
        if lines:
            for folder in (self._workspace.tables, self._workspace.tables.parent):
                sync_folder(folder)
            self.tell(lines)
        return damaged

    def _receipt(self, table: Path, name: str, version: int) -> dict[str, Any]:
        facts, added, removed = commit_facts(table, version)
        intent = self.receipts.intents.get(name)
        if not facts or intent is None or not intent.first <= version <= intent.last:
            raise Tampered(
                f"table {name}: commit {version} is not ours", code="FOREIGN_COMMIT", field=name, row=version
            )
        known = self.receipts.files.get(name, {})
        for path in removed:
            if path in known:
                check_file(table, name, known[path])
        items = [_data_file(table, path) for path in sorted(added)]
        before = sum(known[path].rows for path in removed if path in known)
        if facts["kind"] == "optimize" and before != sum(item["rows"] for item in items):
            raise Tampered(f"table {name}: commit {version} lost rows", code="ROWS_LOST", field=name, row=version)
        log = table / LOG / log_name(version)
        _sync(log)
        for folder in (table / LOG, table, table.parent):
            sync_folder(folder)
        said = {"table": name, "version": version, "added": items, "removed": sorted(removed)}
        return {**facts, **said, "log": digest_file(log).hex}

    def _retire(self, segments: list[Segment], faults: Mapping[SegmentFile, Reading]) -> None:
        lines = [one.line for one in faults.values() if one.line]
        covered = [
            {
                "writer": s.file.writer,
                "number": s.end.number,
                "sequence": s.end.sequence,
                "link": s.end.link.hex(),
                "records": len(s.records),
            }
            for s in segments
        ]
        if covered:
            lines.append({"kind": "retire", "segments": covered})
        self.tell(lines)
        for file, one in faults.items():
            if one.segment is None and one.line:
                set_aside(self._workspace, segment_name(file))
        for segment in segments:
            self._end(segment.file)

    def _sweep(self) -> None:
        """Remove the folders of dead writers once nothing is left in them."""
        for folder in folders(self._workspace.wal):
            if segment_files(folder, SEALED) or segment_files(folder, OPEN) or alive(folder):
                continue
            if {path.name for path in folder.iterdir()} <= {LOCK}:
                (folder / LOCK).unlink(missing_ok=True)
                folder.rmdir()

    def _maintain(self, name: str) -> list[Tampered]:
        from deltalake import CommitProperties, DeltaTable

        folder = self._workspace.tables / name
        damaged: list[Tampered] = []
        merged = False
        for size in MERGED:
            small = [item for item in self.receipts.files.get(name, {}).values() if _size(folder / item.path) < size]
            if len(small) < SMALL_FILES:
                continue
            try:
                for item in small:
                    check_file(folder, name, item)
            except Tampered as error:
                return [*damaged, error]  # rewriting would launder it
            self._intend({name: next_commits(DeltaTable(str(folder)))})
            DeltaTable(str(folder)).optimize.compact(
                target_size=size,
                writer_properties=writer_properties(),
                commit_properties=CommitProperties(custom_metadata={OURS: json.dumps({"kind": "optimize"})}),
                post_commithook_properties=no_hooks(),
            )
            damaged += self.settle()
            merged = True
        if merged:
            self._intend({name: next_commits(DeltaTable(str(folder)), 2)})
            DeltaTable(str(folder)).vacuum(
                retention_hours=KEEP_HOURS,
                dry_run=False,
                enforce_retention_duration=False,
                commit_properties=CommitProperties(custom_metadata={OURS: json.dumps({"kind": "vacuum"})}),
                post_commithook_properties=no_hooks(),
            )
            damaged += self.settle()
        newest = self.receipts.versions.get(name, 0)
        if newest - max(self.receipts.checkpoints.get(name, 0), 0) >= CHECKPOINT_EVERY:
            self._intend({name: Intent(newest + 1, newest, newest)})
            self._checkpoint(name)
            DeltaTable(str(folder)).cleanup_metadata()
        return damaged

    def _checkpoint(self, name: str) -> None:
        """Delta's own checkpoint of the newest version, synced, with a receipt."""
        from deltalake import DeltaTable

        log = self._workspace.tables / name / LOG
        table = DeltaTable(str(log.parent))
        table.create_checkpoint()
        files = [*sorted(log.glob(f"{table.version():020d}.checkpoint*")), log / "_last_checkpoint"]
        for path in files:
            _sync(path)
        sync_folder(log)
        told = {path.name: digest_file(path).hex for path in files}
        self.tell([{"kind": "checkpoint", "table": name, "version": table.version(), "files": told}])


def _pieces(sources: Iterable[Source]) -> Iterator[tuple[Source, list[Record]]]:
    """A few records of each at a time."""
    for source in sources:
        records = iter(source.records)
        while some := list(islice(records, AT_ONCE)):
            yield source, some


def _size(path: Path) -> int:
    """In bytes; 0 for a file that is gone, which is told by whoever checks it."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _data_file(table: Path, path: str) -> dict[str, Any]:
    from pyarrow.parquet import read_metadata

    _sync(table / path)
    rows = read_metadata(table / path).num_rows
    return {"path": path, "sha256": digest_file(table / path).hex, "rows": rows}


def _sync(path: Path) -> None:
    """On disk, and its owner's alone: deltalake leaves it to the umask."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
