"""What compaction does with a damaged segment: take what is sound, tell what is missing, keep the file as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from modelmark.domain.errors import Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.disk import sync_folder
from modelmark.journal.wal.frames import UNKNOWN_FORMAT
from modelmark.journal.wal.reader import Anchor, Gap, Segment, SegmentFile, read_segment
from modelmark.journal.wal.salvage import ended_by, read_around
from modelmark.journal.wal.writer import OPEN


@dataclass(frozen=True, slots=True)
class Reading:
    """segment: what of it can be believed, None for nothing. fault: None when it is as it was written; line: its receipt,
    None where it stays as it is, for a release that knows its format."""

    segment: Segment | None
    fault: Tampered | None = None
    line: Mapping[str, Any] | None = None


def read_for_rows(file: SegmentFile, after: Anchor | None, following: Sequence[SegmentFile]) -> Reading:
    """A segment, checked to continue the one before it, or what is sound in it. following: the writer's next segment, if
    there is one."""
    fault: Tampered | None = None
    try:
        segment = read_segment(file, after=after)
    except Tampered as error:
        fault = error
    try:
        segment = segment if fault is None else read_around(file, after=after)
        for one in following:
            segment = ended_by(segment, one)
    except Tampered as error:
        return Reading(None, error, None if error.code == UNKNOWN_FORMAT else _line(file, error, kept=False))
    if segment.gaps:
        segment = _after_a_hole(segment, after)
        fault = told(segment)
        gaps = [[gap.first, gap.missing] for gap in segment.gaps if gap.missing != 0]
        return Reading(
            segment, fault, {**_line(file, fault, kept=True), "aside": not lost_in_a_cut(segment), "gaps": gaps}
        )
    if fault is None:
        return Reading(segment)
    if after is None or segment.header.first <= after.sequence:
        return Reading(segment, fault, _line(file, fault, kept=True))
    # it is sound in itself: what came before it is gone
    lost = _lost_before(segment, after)
    if file.path.suffix != OPEN:
        fault = Tampered(f"{fault.message}; {_records(lost)}", code=fault.code, field=fault.field, row=fault.row)
        return Reading(segment, fault, _line(file, fault, kept=True))
    before = SegmentFile(file.writer, file.number - 1, file.path.with_name(f"{file.number - 1:012d}{OPEN}"))
    said = f"journal segment {_short(before)} did not reach the disk whole at its end; {_records(lost)}"
    fault = Tampered(said, code="SEGMENT_DAMAGED", field=segment_name(before))
    return Reading(
        segment, fault, {**_line(before, fault, kept=True), "aside": False, "gaps": [[after.sequence, lost]]}
    )


def _lost_before(segment: Segment, after: Anchor) -> int:
    """Records between a writer's chain and the segment that comes next; the seals between have a number too."""
    return segment.header.first - after.sequence - (segment.file.number - after.number - 1)


def _after_a_hole(segment: Segment, after: Anchor | None) -> Segment:
    """A segment with gaps, with what is missing before it as the first."""
    if after is None or segment.header.first <= after.sequence:
        return segment
    open_still = segment.file.path.suffix == OPEN
    gap = Gap(
        0, 0, after.sequence, _lost_before(segment, after), "it does not continue the segment before it", open_still
    )
    return replace(segment, gaps=(gap, *segment.gaps))


def _line(file: SegmentFile, fault: Tampered, *, kept: bool) -> dict[str, Any]:
    return {"kind": "damage", "what": segment_name(file), "why": fault.message, "kept": kept}


def told(segment: Segment) -> Tampered:
    """The fault of a segment with gaps: where, what is missing, what is kept."""
    first = segment.gaps[0]
    what = "did not reach the disk whole" if lost_in_a_cut(segment) else "is damaged"
    return Tampered(
        f"journal segment {_short(segment.file)} {what} at byte {first.offset}: {first.reason}; "
        f"{_records(missing(segment))}, {len(segment.records):,} are kept",
        code="SEGMENT_DAMAGED",
        field=segment_name(segment.file),
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


def set_aside(workspace: Workspace, name: str) -> None:
    """Move a segment, named as WRITER/FILE, into quarantine; nothing happens when it is there already."""
    place = Path(name)
    source = workspace.wal / place
    if len(place.parts) != 2 or not source.is_file():
        return
    target = workspace.quarantine / place
    target.parent.mkdir(parents=True, exist_ok=True)
    source.rename(target)
    for folder in (target.parent, workspace.quarantine, workspace.quarantine.parent, source.parent):
        sync_folder(folder)


def segment_name(file: SegmentFile) -> str:
    return f"{file.writer}/{file.path.name}"


def _short(file: SegmentFile) -> str:
    return f"{file.writer[:8]}/{file.path.name}"


def _records(count: int | None) -> str:
    if count is None:
        return "records are missing, nothing tells how many"
    return f"{count:,} {'record is' if count == 1 else 'records are'} missing"
