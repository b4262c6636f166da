"""Closing what a dead writer left open: torn tails are cut, what is whole is sealed. Each step may be repeated after a
crash."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from modelmark.domain.errors import Tampered
from modelmark.journal.wal.disk import sync_folder, write_whole
from modelmark.journal.wal.frames import SEAL, Header, Seal, encode, frame
from modelmark.journal.wal.reader import (
    Anchor,
    Segment,
    SegmentFile,
    check_place,
    folders,
    read_segment,
    segment_files,
)
from modelmark.journal.wal.salvage import read_around
from modelmark.journal.wal.writer import LOCK, OPEN, SEALED
from modelmark.seal.chain import START


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was done to the folder of a dead writer. dropped: bytes of torn tails that were cut off, never acknowledged
    (or, after a power cut under a policy other than `always`, not yet synced). left: segments that stay open and as they
    are: the first in which frames go on after damaged bytes, or that does not continue the one before, or of which not even
    the header is there though another follows, and what follows."""

    writer: str
    sealed: int
    records: int
    dropped: int
    left: tuple[SegmentFile, ...] = ()


def recover(folder: Path) -> Recovery | None:
    """Close what a dead writer left open: cut torn tails, seal, rename. None when the writer lives."""
    descriptor = _try_lock(folder)
    if descriptor is None:
        return None
    try:
        sealed = records = dropped = 0
        after, files = _last_end(folder), segment_files(folder, OPEN)
        left: list[SegmentFile] = []
        for number, file in enumerate(files):
            try:
                segment = _whole(file, after)
            except Tampered:
                left = files[number:]
                break
            if segment.size == 0 and number + 1 < len(files):  # what was written after it is there
                left = files[number:]
                break
            dropped += file.path.stat().st_size - segment.size
            if segment.size == 0:  # not even its header was finished
                file.path.unlink()
                continue
            after = _finish(segment)
            sealed += 1
            records += len(segment.records)
        sync_folder(folder)
        return Recovery(folder.name, sealed, records, dropped, tuple(left))
    finally:
        os.close(descriptor)


def recover_all(wal: Path) -> list[Recovery]:
    """`recover` for every dead writer that left something open."""
    left = [folder for folder in folders(wal) if segment_files(folder, OPEN)]
    return [done for folder in left if (done := recover(folder)) is not None]


def _last_end(folder: Path) -> Anchor | None:
    """Where the chain stood after the last sealed segment, None where nothing tells."""
    before = segment_files(folder, SEALED)
    try:
        return read_segment(before[-1]).end if before else None
    except Tampered:  # whoever reads it for its rows tells
        return None


def _whole(file: SegmentFile, after: Anchor | None) -> Segment:
    """A segment with nothing damaged but its tail: what stands there was never finished, or stands there twice."""
    try:
        return read_segment(file, after=after)
    except Tampered:
        if not any(file.path.read_bytes()):  # its size reached the disk, and nothing else
            return Segment(file, Header(file.writer, file.number, 0), (), False, Anchor(file.number - 1, 0, START), 0)
        segment = read_around(file, after=after)
        check_place(file, segment.header, after)
        if [(gap.offset, gap.end) for gap in segment.gaps] != [(segment.size, file.path.stat().st_size)]:
            raise
        return segment


def _finish(segment: Segment) -> Anchor:
    """Cut, seal and rename a dead writer's open segment; every step may be repeated after a crash."""
    end = segment.end
    descriptor = os.open(segment.file.path, os.O_WRONLY | os.O_APPEND)
    try:
        os.ftruncate(descriptor, segment.size)
        if not segment.sealed:
            seal = encode(Seal(len(segment.records), segment.header.first))
            data, last = frame(end.link, end.sequence, seal, SEAL, seed=segment.header.seed())
            write_whole(descriptor, data, at=segment.size)
            end = Anchor(end.number, end.sequence + 1, last)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    segment.file.path.rename(segment.file.path.with_suffix(SEALED))
    return end


def _try_lock(folder: Path) -> int | None:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
