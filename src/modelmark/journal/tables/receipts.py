"""Receipts: a hash-chained line for everything compaction did, so that compacted history can be verified too.

`journal/receipts.jsonl`. Each line is canonical JSON with `link`, the chain link over the rest of the line. Kinds:
append and optimize (a Delta commit: table, version, files added with SHA-256 and rows, files removed), retire
(segments whose records are all committed, with where each writer's chain stood) and damage (what was found broken,
and where it went). A line is on disk before any segment it speaks of is deleted. Both the receipts and the tables
rolled back together to an earlier state cannot be told from the receipts alone: keep `Receipts.link` somewhere else
for that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.reader import Anchor
from modelmark.journal.wal.writer import sync_folder
from modelmark.seal.chain import START, link
from modelmark.seal.digests import canonical, digest_file

OURS: Final = "modelmark"  # key of our facts in a Delta commit's info


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a table. sha256: hexadecimal."""

    path: str
    sha256: str
    rows: int


@dataclass(slots=True)
class Receipts:
    """The receipts read so far, and what they add up to. `load` reads what is new; `append` writes and syncs."""

    path: Path
    lines: int = 0
    link: bytes = START
    versions: dict[str, int] = field(default_factory=dict)  # table -> last Delta version with a receipt
    files: dict[str, dict[str, DataFile]] = field(default_factory=dict)  # table -> its active files by path
    anchors: dict[str, Anchor] = field(default_factory=dict)
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
            with self.path.open("r+b") as file:
                file.truncate(self._size)
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
                self._take(line)
                self._size += len(raw)
                yield line

    def append(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Durable when this returns."""
        data = b""
        for line in lines:
            ours = link(self.link, canonical(line))
            raw = canonical({**line, "link": ours.hex()}) + b"\n"
            self._take({**line, "link": ours.hex()})
            self.link = ours
            data += raw
        if not data:
            return
        new = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if new:
            sync_folder(self.path.parent)
        self._size += len(data)

    def _verified(self, raw: bytes) -> Mapping[str, Any]:
        number = self.lines + 1
        try:
            line: dict[str, Any] = json.loads(raw)
            claimed = str(line.pop("link"))
        except (ValueError, KeyError, AttributeError):
            raise _broken(number, "it cannot be read") from None
        ours = link(self.link, canonical(line))
        if ours.hex() != claimed or canonical({**line, "link": claimed}) + b"\n" != raw:
            raise _broken(number, "the hash chain is broken")
        self.link = ours
        return line

    def _take(self, line: Mapping[str, Any]) -> None:
        self.lines += 1
        if line["kind"] in ("append", "optimize"):
            table = line["table"]
            self.versions[table] = line["version"]
            active = self.files.setdefault(table, {})
            for path in line["removed"]:
                active.pop(path, None)
            for item in line["added"]:
                active[item["path"]] = DataFile(item["path"], item["sha256"], item["rows"])
        elif line["kind"] == "retire":
            for item in line["segments"]:
                self.anchors[item["writer"]] = Anchor(item["number"], item["sequence"], bytes.fromhex(item["link"]))


def commit_facts(table: Path, version: int) -> tuple[Mapping[str, Any], list[str], list[str]]:
    """(our facts, added paths, removed paths) of one Delta commit, from its log file."""
    ours: Mapping[str, Any] = {}
    added, removed = [], []
    for raw in (table / "_delta_log" / f"{version:020d}.json").read_text("utf-8").splitlines():
        action = json.loads(raw)
        if "add" in action:
            added.append(action["add"]["path"])
        elif "remove" in action:
            removed.append(action["remove"]["path"])
        elif "commitInfo" in action:
            found = action["commitInfo"].get(OURS)
            ours = json.loads(found) if isinstance(found, str) else found or {}
    return ours, added, removed


def verify_tables(workspace: Workspace) -> Iterator[tuple[str, int]]:
    """(table, rows) for each compacted table whose every active file is what its receipt says.

    Raises Tampered naming the first bad item: a receipt, a file, a commit that is not ours, or a quarantined segment.
    A commit of ours without a receipt yet is left out: its segments are still in the write-ahead log.
    """
    receipts = Receipts.of(workspace)
    for name in sorted(set(receipts.versions) | set(table_names(workspace))):
        yield name, _verify_table(workspace, receipts, name)
    held = (
        sorted(path for path in workspace.quarantine.rglob("*") if path.is_file())
        if workspace.quarantine.exists()
        else []
    )
    if held:
        name = held[0].relative_to(workspace.quarantine).as_posix()
        raise Tampered(
            f"journal segment {name} was found damaged and set aside",
            code="QUARANTINED",
            field=name,
            hint="restore it from a backup, or move it out of the quarantine folder to accept the loss",
        )


def table_names(workspace: Workspace) -> list[str]:
    """Every table on disk, such as `predictions/loans`."""
    if not workspace.tables.is_dir():
        return []
    logs = [*workspace.tables.glob("*/_delta_log"), *workspace.tables.glob("predictions/*/_delta_log")]
    return sorted(log.parent.relative_to(workspace.tables).as_posix() for log in logs)


def _verify_table(workspace: Workspace, receipts: Receipts, name: str) -> int:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    folder = workspace.tables / name
    known = receipts.versions.get(name)
    try:
        newest = DeltaTable(str(folder)).version()
        for version in range((-1 if known is None else known) + 1, newest + 1):
            if not commit_facts(folder, version)[0]:
                raise Tampered(
                    f"table {name}: commit {version} is not ours", code="FOREIGN_COMMIT", field=name, row=version
                )
        if known is None:
            return 0
        active = set(DeltaTable(str(folder), version=known).get_add_actions(flatten=True)["path"].to_pylist())
    except (DeltaError, TableNotFoundError, OSError) as error:
        why = str(error).splitlines()[0]
        raise Tampered(f"table {name} cannot be read: {why}", code="TABLE_DAMAGED", field=name) from None
    expected = receipts.files.get(name, {})
    for path in sorted(active ^ set(expected)):
        what = "has no receipt" if path in active else "is gone from the table"
        raise Tampered(f"table {name}: file {path} {what}", code="FILE_UNACCOUNTED", field=f"{name}/{path}")
    for path in sorted(expected):
        check_file(folder, name, expected[path])
    return sum(item.rows for item in expected.values())


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
