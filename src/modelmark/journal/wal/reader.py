"""The read path of the journal: nothing is believed before its checksum, sequence and chain were checked."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from modelmark.domain.errors import Tampered
from modelmark.journal.wal.frames import (
    FRAME_SIZE,
    HEADER_SIZE,
    Damage,
    Header,
    Seal,
    decode,
    read_header,
    walk,
)
from modelmark.journal.wal.records import Record
from modelmark.journal.wal.writer import LOCK, OPEN, SEALED
from modelmark.seal.chain import START
from modelmark.seal.files import held


@dataclass(frozen=True, slots=True, order=True)
class SegmentFile:
    """A segment on disk, unread."""

    writer: str
    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a writer's chain stood at the end of one of its segments. Keep it to check what follows."""

    number: int
    sequence: int
    link: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a segment that are not what was written. offset, end: where they lie. first: the sequence of the first
    record that belongs there. missing: how many are not there; None when nothing tells. unwritten: a write that had not
    reached the disk left them, as the zeros in them say."""

    offset: int
    end: int
    first: int
    missing: int | None
    reason: str
    unwritten: bool


class Records(Sequence[Record]):
    """Records of a segment that was verified, as the bytes they are until somebody asks for one: as objects they take four
    times as much."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._ends = array("Q")  # start and end of each payload

    def add(self, start: int, end: int) -> None:
        self._ends.extend((start, end))

    def __len__(self) -> int:
        return len(self._ends) // 2

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, place: int | slice) -> Record | tuple[Record, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(place)
        first = 2 * (place % len(self))
        found: Record = decode(self._data[self._ends[first] : self._ends[first + 1]])
        return found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment read whole and found sound, but for its gaps. end: where the chain stands."""

    file: SegmentFile
    header: Header
    records: Sequence[Record]
    sealed: bool
    end: Anchor
    size: int
    gaps: tuple[Gap, ...] = ()

    def sequences(self) -> Iterator[int]:
        """Of each record."""
        missing, number = {gap.first: gap.missing or 0 for gap in self.gaps if gap.missing}, self.header.first
        for _ in self.records:
            while number in missing:
                number += missing.pop(number)
            yield number
            number += 1


@dataclass(frozen=True, slots=True)
class WriterReport:
    """What verification found in one writer's folder. end: None when it has no sealed segment."""

    writer: str
    segments: int
    records: int
    alive: bool
    end: Anchor | None


@dataclass(frozen=True, slots=True)
class WalReport:
    """bad: the first item that is not what was written, None when everything is sound."""

    writers: tuple[WriterReport, ...]
    bad: Tampered | None

    @property
    def records(self) -> int:
        return sum(writer.records for writer in self.writers)


def folders(wal: Path) -> list[Path]:
    """The folders of all writers, dead and alive, in order."""
    if not wal.is_dir():
        return []
    return sorted(path for path in wal.iterdir() if path.is_dir() and not path.name.startswith("."))


def sealed_segments(wal: Path) -> list[SegmentFile]:
    """Every sealed segment of every writer, in order of writer and number."""
    return [file for folder in folders(wal) for file in segment_files(folder, SEALED)]


def segment_files(folder: Path, suffix: str) -> list[SegmentFile]:
    return sorted(
        SegmentFile(folder.name, int(path.stem), path) for path in folder.glob(f"*{suffix}") if path.stem.isdigit()
    )


def read_segment(file: SegmentFile, *, after: Anchor | None = None) -> Segment:
    """The whole segment, verified. Raises Tampered naming segment and offset.

    after: where the writer's chain stood before it; without it the segment is checked on its own.
    A `.open` segment may end anywhere between two frames, or torn: what is sound is returned, `sealed` is False.
    """
    data = file.path.read_bytes()
    header = read_header(data)
    if header is None:
        if file.path.suffix == OPEN and len(data) < HEADER_SIZE:
            header = Header(
                file.writer, file.number, after.sequence if after else 0, after.link if after else b"\0" * 32
            )
            return Segment(file, header, (), False, Anchor(file.number - 1, header.first, header.previous), 0)
        raise tampered(file, 0, "the header is damaged")
    check_place(file, header, after)
    records = Records(data)
    end, size, sealed = Anchor(file.number, header.first, header.link()), HEADER_SIZE, False
    for item in walk(data, header):
        if isinstance(item, Damage):
            if item.torn and file.path.suffix == OPEN:
                break
            raise tampered(file, item.offset, item.reason)
        end, size = Anchor(file.number, item.sequence + 1, item.link), item.end
        if isinstance(item.record, Seal):
            sealed = True
        else:
            records.add(item.offset + FRAME_SIZE, item.end)
    if not sealed and file.path.suffix == SEALED:
        raise tampered(file, size, "the seal is missing")
    return Segment(file, header, records, sealed, end, size)


def alive(folder: Path) -> bool:
    """Whether the writer that owns a folder still runs. Writes nothing."""
    return held(folder / LOCK)


def verify_wal(wal: Path, anchors: Mapping[str, Anchor] | None = None) -> WalReport:
    """Check every sealed segment, and the sound part of open ones, of every writer, across segments.

    anchors: per writer, where its chain stood after the last retired segment; what is still there of those counts for
    nothing. A writer without one must begin at segment 0.
    """
    reports: list[WriterReport] = []
    bad: Tampered | None = None
    for folder in folders(wal):
        report, found = _verify_writer(folder, (anchors or {}).get(folder.name))
        reports.append(report)
        bad = bad or found
    return WalReport(tuple(reports), bad)


def _verify_writer(folder: Path, anchor: Anchor | None) -> tuple[WriterReport, Tampered | None]:
    running = alive(folder)
    end, after = None, anchor or Anchor(-1, 0, START)
    retired = after.number
    segments = records = 0
    try:
        for file in in_order(folder):
            if file.number <= retired:
                continue
            try:
                segment = read_segment(file, after=after)
            except FileNotFoundError:  # sealed or retired while we looked
                renamed = file.path.with_suffix(SEALED)
                if not renamed.exists():
                    break
                segment = read_segment(SegmentFile(file.writer, file.number, renamed), after=after)
            after = segment.end
            end = segment.end if segment.sealed else end
            segments += 1
            records += len(segment.records)
    except Tampered as error:
        return WriterReport(folder.name, segments, records, running, end), error
    return WriterReport(folder.name, segments, records, running, end), None


def in_order(folder: Path) -> list[SegmentFile]:
    """A writer's segments, open ones too. Where a number is both, the sealed one counts."""
    found = {file.number: file for file in segment_files(folder, OPEN)}
    found |= {file.number: file for file in segment_files(folder, SEALED)}
    return [found[number] for number in sorted(found)]


def check_place(file: SegmentFile, header: Header, after: Anchor | None) -> None:
    if header.writer != file.writer or header.segment != file.number:
        raise tampered(file, 0, f"it is segment {header.segment} of writer {header.writer[:8]}")
    if after is None:
        return
    if header.segment != after.number + 1:
        raise tampered(file, 0, f"segment {after.number + 1} before it is gone")
    if header.previous != after.link or header.first != after.sequence:
        raise tampered(file, 0, "it does not continue the segment before it")


def tampered(file: SegmentFile, offset: int, reason: str) -> Tampered:
    return Tampered(
        f"journal segment {file.writer[:8]}/{file.path.name} is damaged at byte {offset}: {reason}",
        code="SEGMENT_DAMAGED",
        field=f"{file.writer}/{file.path.name}",
        row=offset,
    )
