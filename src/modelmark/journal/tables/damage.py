"""What compaction does with a damaged segment: take what is sound, tell what is missing, keep the file as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.disk import sync_folder
from modelmark.journal.wal.reader import Anchor, Segment, SegmentFile, read_segment
from modelmark.journal.wal.salvage import ended_by, read_around
from modelmark.journal.wal.writer import OPEN


@dataclass(frozen=True, slots=True)
class Reading:
    """segment: what of it can be believed, None for nothing. fault: None when it is as it was written."""

    segment: Segment | None
    fault: Tampered | None = None


def read_for_rows(file: SegmentFile, after: Anchor | None, following: Sequence[SegmentFile]) -> Reading:
    """A segment, checked to continue the one before it, or what is sound in it. following: the writer's next segment, if
    there is one."""
    try:
        return Reading(read_segment(file, after=after))
    except Tampered as error:
        fault = error
    try:
        segment = read_around(file, after=after)
        for one in following:
            segment = ended_by(segment, one)
    except Tampered as error:
        return Reading(None, error)
    if segment.gaps:
        return Reading(segment, told(segment))
    if after is not None and segment.header.first > after.sequence:  # sound in itself: what came before it is gone
        seals = file.number - after.number - 1
        fault = _more(fault, _records(segment.header.first - after.sequence - seals))
    return Reading(segment, fault)


def told(segment: Segment) -> Tampered:
    """The fault of a segment with gaps: where, what is missing, what is kept."""
    first, name = segment.gaps[0], f"{segment.file.writer[:8]}/{segment.file.path.name}"
    what = "did not reach the disk whole" if lost_in_a_cut(segment) else "is damaged"
    return Tampered(
        f"journal segment {name} {what} at byte {first.offset}: {first.reason}; "
        f"{_records(missing(segment))}, {len(segment.records):,} are kept",
        code="SEGMENT_DAMAGED",
        field=f"{segment.file.writer}/{segment.file.path.name}",
        row=first.offset,
        hint=None if lost_in_a_cut(segment) else "put a sound copy into the quarantine folder, then: modelmark journal salvage",
    )  # fmt: skip


def missing(segment: Segment) -> int | None:
    """How many records; None when nothing tells."""
    counts = [gap.missing for gap in segment.gaps]
    return None if None in counts else sum(count or 0 for count in counts)


def lost_in_a_cut(segment: Segment) -> bool:
    """Whether the power went before all of it was on disk: it was still open, and its gaps were never written."""
    return segment.file.path.suffix == OPEN and all(gap.unwritten or gap.missing == 0 for gap in segment.gaps)


def damage_line(segment: Segment, fault: Tampered) -> dict[str, Any]:
    """The receipt of a damaged segment whose other records are taken."""
    return {
        "kind": "damage", "what": fault.field, "why": fault.message, "kept": True, "aside": not lost_in_a_cut(segment),
        "gaps": [[gap.first, gap.missing] for gap in segment.gaps if gap.missing != 0],
    }  # fmt: skip


def set_aside(workspace: Workspace, name: str) -> None:
    """Move a segment, named as WRITER/FILE, into quarantine; nothing happens when it is there already."""
    place = Path(name)
    source = workspace.wal / place
    if len(place.parts) != 2 or not source.is_file():
        return
    target = workspace.quarantine / place
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    for folder in (target.parent, source.parent):
        sync_folder(folder)


def _records(count: int | None) -> str:
    if count is None:
        return "records are missing, nothing tells how many"
    return f"{count:,} {'record is' if count == 1 else 'records are'} missing"


def _more(fault: Tampered, more: str) -> Tampered:
    return Tampered(f"{fault.message}; {more}", code=fault.code, field=fault.field, row=fault.row)
