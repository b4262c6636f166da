"""What lies in quarantine, read again: records that are not in the tables yet come there, once.

A file in quarantine is what compaction set aside, or a sound copy that somebody put in its place. Receipts say which of
its records are missing; what is about to be taken is written there first, so that a salvage that was cut short takes the
same again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.errors import ModelmarkError, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.commits import Source
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.receipts import Ranges, segment_key
from modelmark.journal.wal.disk import sync_folder
from modelmark.journal.wal.reader import Segment, SegmentFile
from modelmark.journal.wal.records import Record, Schema
from modelmark.journal.wal.salvage import read_around


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged:
    """What became of one file. taken: records that came into the tables now; rows: by table. missing: records still not
    there, None when nothing tells how many. refused: why it was not read at all."""

    name: str
    taken: int = 0
    rows: Mapping[str, int]
    missing: int | None = None
    refused: str | None = None

    @property
    def whole(self) -> bool:
        return self.missing == 0 and self.refused is None


def salvage(workspace: Workspace, compactor: Compactor) -> list[Salvaged]:
    """Every file in quarantine. What is whole then leaves it. Raises NotYet (COMPACTION_RUNS) while another process
    commits."""
    with compactor.committing():
        compactor.settle()
        return [_salvaged(workspace, compactor, file) for file in quarantined(workspace)]


def quarantined(workspace: Workspace) -> list[SegmentFile]:
    paths = sorted(path for path in workspace.quarantine.glob("*/*") if path.is_file() and path.stem.isdigit())
    return [SegmentFile(path.parent.name, int(path.stem), path) for path in paths]


def _salvaged(workspace: Workspace, compactor: Compactor, file: SegmentFile) -> Salvaged:
    name, key = f"{file.writer}/{file.path.name}", segment_key(file.writer, file.number)
    known = compactor.receipts.damaged.get(key)
    try:
        if known is None:
            raise Tampered(
                "no receipt says that it was set aside, so its records may be in the tables", code="UNKNOWN_FILE"
            )
        segment = read_around(file)
        last = compactor.receipts.salvages.get(key)
        cut_short = last is not None and not last.done
        wanted = set(_each(last.sequences)) if last and cut_short else _wanted(known.gaps, segment)
        if not wanted <= set(segment.sequences()):
            raise Tampered(
                "it is not the file of the salvage that was cut short: put that one back", code="FILE_CHANGED"
            )
    except ModelmarkError as error:
        return Salvaged(name=name, rows={}, refused=error.message)
    number = (last.number if last else 0) + (not cut_short)
    said = {"kind": "salvage", "what": name, "number": number, "sequences": ranges(sorted(wanted))}
    if wanted and not cut_short:
        compactor.tell([{**said, "done": False}])
    rows = compactor.append([Source(f"salvage/{key}", number, _records(segment, wanted))])
    compactor.settle()
    left = _remaining(known.gaps, segment)
    if wanted:
        why = "salvaged from quarantine"
        damage = {"kind": "damage", "what": name, "why": why, "kept": True, "aside": True, "gaps": left}
        compactor.tell([{**said, "done": True}, damage])
    counted = [count for _, count in left]
    missing = None if None in counted else sum(count or 0 for count in counted)
    if missing == 0:
        file.path.unlink()
        sync_folder(file.path.parent)
        _sweep(file.path.parent)
    return Salvaged(name=name, taken=len(wanted), rows=rows, missing=missing)


def ranges(numbers: Iterable[int]) -> Ranges:
    """Ascending numbers as (first, how many).

    >>> ranges([1, 2, 3, 7])
    ((1, 3), (7, 1))
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((number, 1))
    return tuple(found)


def _each(given: Ranges) -> Iterator[int]:
    for first, count in given:
        yield from range(first, first + (count or 0))


def _records(segment: Segment, wanted: set[int]) -> Iterator[Record]:
    """The wanted ones, and what says how they read."""
    for number, record in zip(segment.sequences(), segment.records, strict=True):
        if number in wanted or isinstance(record, Schema):
            yield record


def _wanted(gaps: Ranges, segment: Segment) -> set[int]:
    return {
        number for number in segment.sequences()
        if any(first <= number and (count is None or number < first + count) for first, count in gaps)
    }  # fmt: skip


def _remaining(gaps: Ranges, segment: Segment) -> Ranges:
    """What is missing still, once everything in the segment is taken."""
    have = set(segment.sequences())
    found: list[tuple[int, int | None]] = []
    for start, count in gaps:
        first = max(start, segment.header.first)
        stop = first + count if count is not None else segment.end.sequence - segment.sealed
        found += ranges(number for number in range(first, stop) if number not in have)
        if count is None and not segment.sealed:
            found.append((max(stop, first), None))
    return tuple(found)


def _sweep(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()
