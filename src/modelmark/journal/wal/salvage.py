"""What is sound in a damaged segment, and what is missing from it.

A hole, a flipped bit or a tail written twice costs the records whose bytes it took and no others: they are told by
sequence number.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Final

from modelmark.domain.errors import Tampered
from modelmark.journal.wal.frames import HEADER_SIZE, Damage, Header, Seal, read_header, walk
from modelmark.journal.wal.reader import Anchor, Gap, Segment, SegmentFile, check_place, read_segment, tampered
from modelmark.journal.wal.records import Record
from modelmark.journal.wal.writer import OPEN, SEALED

SECTOR: Final = 512  # bytes that a disk writes whole, or not


def read_around(file: SegmentFile, *, after: Anchor | None = None) -> Segment:
    """Every sound record of a segment, and its gaps.

    after: where the writer's chain stood before it, if that is known; a lost header is made again from it.
    Raises Tampered when nothing in it can be believed: its header is lost, it is another segment than its name says, or
    a frame was rewritten.
    """
    data = file.path.read_bytes()
    runs: list[list[Record]] = [[]]
    gaps: list[Gap] = []
    header = read_header(data)
    if header is None:
        if after is None or after.number + 1 != file.number:
            raise tampered(file, 0, "the header is damaged")
        header = Header(file.writer, file.number, after.sequence, after.link)
        gaps.append(_gap(data, Damage(0, HEADER_SIZE, "the header is damaged", missing=0), header.first))
        runs.append([])
    check_place(file, header, None)
    end, size, sealed = Anchor(file.number, header.first, header.link()), 0 if gaps else HEADER_SIZE, False
    for item in walk(data, header):
        if isinstance(item, Damage):
            if item.changed:
                raise tampered(file, item.offset, item.reason)
            if gaps and item.torn and file.path.suffix == OPEN:
                break  # the end was never finished, as after any crash
            gaps.append(_gap(data, item, end.sequence))
            runs.append([])
            continue
        end, size = Anchor(file.number, item.sequence + 1, item.link), item.end
        if isinstance(item.record, Seal):
            sealed = True
        else:
            runs[-1].append(item.record)
    if not sealed and file.path.suffix == SEALED and (not gaps or gaps[-1].missing is not None):
        gaps.append(Gap(size, len(data), end.sequence, None, "the seal is missing", unwritten=False))
        runs.append([])
    if header.form == 1:
        runs, gaps = _without_seed(runs, gaps, end, sealed=sealed and file.path.suffix == SEALED)
    return Segment(file, header, tuple(r for run in runs for r in run), sealed, end, size, tuple(gaps))


def sound_records(file: SegmentFile) -> tuple[Record, ...]:
    """What can be believed of a segment, for whoever only looks something up: compaction tells of damage."""
    try:
        return tuple(read_segment(file).records)
    except Tampered:
        pass
    try:
        return tuple(read_around(file).records)
    except Tampered:
        return ()


def ended_by(segment: Segment, following: SegmentFile) -> Segment:
    """A segment whose end is lost, with what the next one says of it: how much is missing, and where the chain stood."""
    if segment.sealed:
        return segment
    header = read_header(following.path.read_bytes()[:HEADER_SIZE])
    if header is None or header.segment != segment.file.number + 1 or header.first < segment.end.sequence:
        return segment
    lost = max(header.first - 1 - segment.end.sequence, 0)  # the seal has a sequence number too
    end = Anchor(segment.file.number, header.first, header.previous)
    if segment.gaps and segment.gaps[-1].missing is None:
        *before, last = segment.gaps
        return replace(segment, end=end, gaps=(*before, replace(last, missing=lost)))
    gap = Gap(segment.size, segment.size, segment.end.sequence, lost, "its end is cut off", unwritten=True)
    return replace(segment, end=end, gaps=(*segment.gaps, gap) if lost else segment.gaps)


def _gap(data: bytes, damage: Damage, first: int) -> Gap:
    """A file that only grows reads as zeros wherever a write had not reached the disk when the power went."""
    edges = [damage.offset, *range((damage.offset // SECTOR + 1) * SECTOR, damage.end + 1, SECTOR)]
    if damage.end == len(data):
        edges.append(damage.end)
    unwritten = any(not any(data[start:end]) for start, end in pairwise(edges))
    return Gap(damage.offset, damage.end, first, damage.missing, damage.reason, unwritten=unwritten)


def _without_seed(
    runs: list[list[Record]], gaps: list[Gap], end: Anchor, *, sealed: bool
) -> tuple[list[list[Record]], list[Gap]]:
    """Frames of format 1 could be forged inside a caller's inputs: after a gap only those count that end in the seal."""
    if not gaps or (sealed and len(gaps) == 1):
        return runs, gaps
    last = runs[-1] if sealed else []
    first = gaps[0]
    missing = end.sequence - 1 - len(last) - first.first if sealed else None
    return [runs[0], last], [replace(first, end=gaps[-1].end, missing=missing)]
