"""Receipts: a hash-chained line for everything compaction did, so that compacted history can be verified too.

`journal/receipts.jsonl`. Each line is canonical JSON with `link`, the chain link over the rest of the line; the last line
of every write carries `signature`, the workspace's over its link. Kinds: intent (what compaction is about to commit, so
that a commit without a receipt is ours only where a crash came between), append, optimize and vacuum (a Delta commit:
table, version, files added with SHA-256 and rows, files removed, SHA-256 of its log file), checkpoint (Delta's own, with
the SHA-256 of its files), took_over (the log files of a table as an earlier release left them), retire (segments whose
records are all committed, with where each writer's chain stood), damage (what was found broken, what is missing of it and
whether the file was set aside) and salvage (records that came from a file set aside, before and after they are committed).
A line is on disk before any segment it speaks of is deleted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.disk import sync_folder, write_whole
from modelmark.journal.wal.reader import Anchor
from modelmark.seal.chain import START, link
from modelmark.seal.digests import canonical, digest_file

LOG: Final = "_delta_log"
#: Receipts of a Delta commit.
COMMITS: Final = ("append", "optimize", "vacuum")
OURS: Final = "modelmark"  # key of our facts in a Delta commit's info


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table. sha256: hexadecimal."""

    path: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Intent:
    """Versions that compaction was about to commit to a table, the first and the last, or to write a checkpoint of."""

    first: int
    last: int
    checkpoint: int | None = None


#: (first sequence, how many), ascending; None for how many where nothing tells.
Ranges = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Damaged:
    """A segment that was found damaged. gaps: what is missing of it in the tables. aside: the file is in quarantine, or
    about to be."""

    gaps: Ranges
    aside: bool


@dataclass(frozen=True, slots=True)
class Salvaging:
    """Records that are taken from a segment set aside. number: the how manieth time, from 1. done: they are in."""

    number: int
    sequences: Ranges
    done: bool


@dataclass(slots=True)
class Receipts:
    """The receipts read so far, and what they add up to. `load` reads what is new; `append` writes and syncs."""

    path: Path
    lines: int = 0
    link: bytes = START
    versions: dict[str, int] = field(default_factory=dict)  # table -> last Delta version with a receipt
    files: dict[str, dict[str, DataFile]] = field(default_factory=dict)  # table -> its active files by path
    replaced: dict[str, dict[str, DataFile]] = field(default_factory=dict)  # table -> files it had before, by path
    logs: dict[str, dict[str, str]] = field(default_factory=dict)  # table -> SHA-256 of files of its log, by name
    checkpoints: dict[str, int] = field(default_factory=dict)  # table -> version of its newest checkpoint
    intents: dict[str, Intent] = field(default_factory=dict)  # table -> what was about to be committed last
    anchors: dict[str, Anchor] = field(default_factory=dict)
    damaged: dict[str, Damaged] = field(default_factory=dict)  # segment, as `segment_key` -> what is known of it
    salvages: dict[str, Salvaging] = field(default_factory=dict)  # segment -> its last salvage
    signature: str | None = None  # of the last line
    _size: int = 0

    @classmethod
    def of(cls, workspace: Workspace) -> Receipts:
        """Raises Tampered, naming the line, when the chain is broken."""
        found = cls(workspace.receipts)
        found.load()
        return found

    def load(self, *, repair: bool = False) -> None:
        """Read on. repair: cut a last line that a crash left unfinished; the only committer may."""
        for _ in self.read():
            pass
        if repair and self.path.exists() and self.path.stat().st_size > self._size:
            self._cut(self._size)

    def cut_unfinished(self, *, head: int, signed: bool) -> None:
        """Cut what a power cut left of the last write, before anything is read: lines with a hole in them, or not ended, and
        those of the same write before them. The only committer may.

        head: how many lines are known to be whole. signed: whether every write ended with a signed line. What is damaged in
        another way, or before the head, stays to be told.
        """
        whole, probe = 0, Receipts(self.path)
        try:
            for _ in probe.read():
                if probe.lines <= head or not signed or probe.signature is not None:
                    whole = probe._size
        except Tampered:
            if b"\0" not in self._line_at(probe._size):
                return
        if probe.lines >= head and self.path.exists() and self.path.stat().st_size > whole:
            self._cut(whole)

    def _line_at(self, offset: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.readline()

    def _cut(self, size: int) -> None:
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def read(self) -> Iterator[Mapping[str, Any]]:
        """The lines not yet read, each verified. An unfinished last line is left for later."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._size)
            for raw in file:
                if not raw.endswith(b"\n"):
                    return
                line = self._verified(raw)
                try:
                    self._take(line)
                except (KeyError, TypeError, ValueError, AttributeError):
                    raise _broken(self.lines, "it lacks what its kind tells") from None
                self._size += len(raw)
                yield line

    def append(self, lines: Sequence[Mapping[str, Any]], sign: Callable[[bytes], str] | None = None) -> None:
        """Durable when this returns. Nothing was written, and nothing is remembered, when it raises.

        sign: gives the signature of the last line's link.
        """
        data, last, signature = b"", self.link, None
        for number, line in enumerate(lines, 1):
            last = link(last, canonical(line))
            signature = sign(last) if sign and number == len(lines) else None
            more = {"link": last.hex(), **({"signature": signature} if signature else {})}
            data += canonical({**line, **more}) + b"\n"
        if not data:
            return
        self._write(data)
        for line in lines:
            self._take(line)
        self.link, self.signature = last, signature
        self._size += len(data)

    def _write(self, data: bytes) -> None:
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            write_whole(descriptor, data, at=self._size)
            try:
                os.fsync(descriptor)
            except OSError:  # what of it is on disk is unknowable: it comes again, from the start
                os.ftruncate(descriptor, self._size)
                raise
        finally:
            os.close(descriptor)
        if new:
            sync_folder(self.path.parent)

    def _verified(self, raw: bytes) -> Mapping[str, Any]:
        number = self.lines + 1
        try:
            line: dict[str, Any] = json.loads(raw)
            whole = canonical(line) + b"\n"
            claimed, signature = str(line.pop("link")), line.pop("signature", None)
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise _broken(number, "it cannot be read") from None
        ours = link(self.link, canonical(line))
        if ours.hex() != claimed or whole != raw:
            raise _broken(number, "the hash chain is broken")
        self.link, self.signature = ours, signature
        return line

    def _take(self, line: Mapping[str, Any]) -> None:
        self.lines += 1
        kind = line["kind"]
        if kind in COMMITS:
            self._take_commit(line)
        elif kind == "intent":
            self.intents[line["table"]] = Intent(line["first"], line["last"], line.get("checkpoint"))
        elif kind == "checkpoint":
            self.checkpoints[line["table"]] = line["version"]
            self.logs.setdefault(line["table"], {}).update(line["files"])
        elif kind == "took_over":
            self.logs.setdefault(line["table"], {}).update(line["files"])
            self.checkpoints[line["table"]] = line["checkpoint"]
        elif kind == "retire":
            for item in line["segments"]:
                self.anchors[item["writer"]] = Anchor(item["number"], item["sequence"], bytes.fromhex(item["link"]))
        elif kind == "damage" and ("gaps" in line or not line["kept"]):
            gaps = line.get("gaps", [[0, None]])  # an earlier release read nothing of what it set aside
            self.damaged[line["what"].partition(".")[0]] = Damaged(_ranges(gaps), aside=line.get("aside", True))
        elif kind == "salvage":
            salvaging = Salvaging(line["number"], _ranges(line["sequences"]), line["done"])
            self.salvages[line["what"].partition(".")[0]] = salvaging

    def _take_commit(self, line: Mapping[str, Any]) -> None:
        table = line["table"]
        self.versions[table] = line["version"]
        active, replaced = self.files.setdefault(table, {}), self.replaced.setdefault(table, {})
        for path in line["removed"]:
            if path in active:
                replaced[path] = active.pop(path)
        for item in line["added"]:
            active[item["path"]] = DataFile(item["path"], item["sha256"], item["rows"])
        if "log" in line:
            self.logs.setdefault(table, {})[log_name(line["version"])] = line["log"]


def segment_key(writer: str, number: int) -> str:
    """A segment by name, sealed or open."""
    return f"{writer}/{number:012d}"


def _ranges(value: Sequence[Sequence[Any]]) -> Ranges:
    return tuple((first, count) for first, count in value)


def log_name(version: int) -> str:
    """The file of one commit in a table's `_delta_log`."""
    return f"{version:020d}.json"


def commit_facts(table: Path, version: int) -> tuple[Mapping[str, Any], list[str], list[str]]:
    """(our facts, added paths, removed paths) of one Delta commit, from its log file."""
    ours: Mapping[str, Any] = {}
    added, removed = [], []
    for raw in (table / LOG / log_name(version)).read_text("utf-8").splitlines():
        action = json.loads(raw)
        if "add" in action:
            added.append(action["add"]["path"])
        elif "remove" in action:
            removed.append(action["remove"]["path"])
        elif "commitInfo" in action:
            found = action["commitInfo"].get(OURS)
            ours = json.loads(found) if isinstance(found, str) else found or {}
    return ours, added, removed


def table_names(workspace: Workspace) -> list[str]:
    """Every table on disk, such as `predictions/loans`."""
    if not workspace.tables.is_dir():
        return []
    logs = [*workspace.tables.glob(f"*/{LOG}"), *workspace.tables.glob(f"predictions/*/{LOG}")]
    return sorted(log.parent.relative_to(workspace.tables).as_posix() for log in logs)


def table_versions(workspace: Workspace) -> dict[str, int]:
    """Of every table on disk Delta's own number of its newest state."""
    from deltalake import DeltaTable

    return {name: int(DeltaTable(str(workspace.tables / name)).version()) for name in table_names(workspace)}


def check_file(folder: Path, name: str, item: DataFile) -> None:
    """Raises Tampered unless a data file has the bytes its receipt names."""
    try:
        same = digest_file(folder / item.path).hex == item.sha256
    except FileNotFoundError:
        raise Tampered(
            f"table {name}: file {item.path} is missing", code="FILE_MISSING", field=f"{name}/{item.path}"
        ) from None
    if not same:
        raise Tampered(f"table {name}: file {item.path} was changed", code="FILE_CHANGED", field=f"{name}/{item.path}")


def _broken(number: int, why: str) -> Tampered:
    return Tampered(
        f"journal receipt {number} is damaged: {why}", code="RECEIPT_DAMAGED", field="receipts.jsonl", row=number
    )
