"""Labels from a file: each line checked against the contract and against what was really predicted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from modelmark.contract.table_file import require_fits
from modelmark.domain.classes import parse_label
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.labels import GivenLabel, read_label, settle
from modelmark.domain.predictions.event_time import event_time
from modelmark.domain.strict import Scalar
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import known
from modelmark.journal.wal.reader import SegmentFile, folders, segment_files
from modelmark.journal.wal.records import Labelled, Observed, Predicted
from modelmark.journal.wal.salvage import sound_records
from modelmark.journal.wal.writer import OPEN, SEALED, Writer

BATCH: Final = 5000
SHOWN: Final = 20
#: What a table of answers calls them, whose own id and row are others.
PREDICTED: Final = {"prediction_id": "id", "prediction_row": "row"}
LONGEST: Final = 64  # characters of what is quoted


@dataclass(frozen=True, slots=True)
class Line:
    """A line that does not count. number: in the file, the header being 1."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelImport:
    """What became of every line.

    duplicates: lines that say the same of one row once more. unknown: ids that nobody predicted yet; they are kept aside, and
    count once somebody has. conflicting: lines that give one row different labels; each side is kept, and none counts until a
    later label settles it. refused: lines that break the contract or cannot be read. examples: the first lines that do not
    count, with the reason. by_entity: lines about an entity at a moment; which predictions they are about is found out once the
    steward has them.
    """

    accepted: int
    unknown: int
    duplicates: int
    conflicting: int
    refused: int
    examples: tuple[Line, ...]
    by_entity: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """A line that can be read. row None: it says none. event: when it became true, as the journal has it; 0: not said."""

    number: int
    row: int | None
    given: GivenLabel
    event: int


@dataclass(frozen=True, slots=True)
class _Seen:
    """A line about an entity. event: when it became true, as the journal has it."""

    entity: str
    event: int
    label: Scalar


def import_labels(
    path: Path, model: str, contract: Contract, workspace: Workspace, writer: Writer, at: datetime
) -> LabelImport:
    """Read a CSV of id, label, row where predictions had several, and at where it says when each became true; append what holds
    to the journal. Other columns are passed over; a table of answers says prediction_id and prediction_row.

    Raises Missing when there is no such file, Malformed when it is no CSV with those columns, NotYet as the writer
    does.
    """
    moment, source = int(at.timestamp() * 1e6) * 1000, f"file:{path.name}"
    lines = list(_lines(path, contract, moment))
    observed = [
        Observed(model, item.entity, item.event, moment, item.label, source)
        for item in lines
        if isinstance(item, _Seen)
    ]
    notes = [item for item in lines if isinstance(item, Line)]
    read = [item for item in lines if isinstance(item, _Read)]
    rows = rows_of_each(workspace, model, {item.given.id for item in read})
    placed = [_placed(item, rows.get(item.given.id)) for item in read]
    notes += [one for one in placed if isinstance(one, Line)]
    refused, settled = len(notes), settle(one for one in placed if not isinstance(one, Line))
    unknown = [one for one in settled.accepted if one.id not in rows]
    notes += [Line(one.place, f"no prediction {one.id!r} of {model}") for one in unknown]
    notes += [
        Line(one.place, f"another line gives {one.id!r} row {one.row} another label") for one in settled.conflicting
    ]
    since = {item.number: item.event for item in read}
    kept: list[Labelled | Observed] = [
        Labelled(one.id, one.row, moment, model, one.label, source, since[one.place]) for one in settled.kept
    ]
    kept += observed
    for start in range(0, len(kept), BATCH):
        writer.append_many(kept[start : start + BATCH])
    return LabelImport(
        accepted=len(settled.accepted) - len(unknown),
        unknown=len(unknown),
        duplicates=settled.duplicates,
        conflicting=len(settled.conflicting),
        refused=refused,
        by_entity=len(observed),
        examples=tuple(sorted(notes, key=lambda line: line.number)[:SHOWN]),
    )


def _placed(item: _Read, count: int | None) -> GivenLabel | Line:
    """The label with the row it means. count: rows of its prediction, None where nobody knows it."""
    if count is None or (item.row is None and count == 1) or (item.row is not None and item.row < count):
        return item.given
    said = "is missing" if item.row is None else item.row
    return Line(item.number, f"row {said}; allowed: 0 to {count - 1}")


def _lines(path: Path, contract: Contract, now: int) -> Iterator[_Read | _Seen | Line]:
    if not path.is_file():
        raise Missing(f"there is no file {path}", code="NO_FILE", field=str(path))
    require_fits(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = list(reader.fieldnames or ())
            if set(PREDICTED) <= set(names):
                reader.fieldnames = [PREDICTED.get(n, f"table {n}" if n in PREDICTED.values() else n) for n in names]
            by_entity = "id" not in names and {"entity", "at", "label"} <= set(names)
            if not by_entity and not {"id", "label"} <= set(reader.fieldnames or ()):
                raise Malformed(
                    f"{path.name} has the columns {', '.join(reader.fieldnames or ['none'])}",
                    code="BAD_COLUMNS",
                    field=path.name,
                    limit="id, label and, for predictions of several rows, row; or entity, at and label",
                )
            for line in reader:
                yield (_entity_line if by_entity else _line)(reader.line_num, line, contract, now)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"{path.name} cannot be read as CSV: {error}", code="BAD_CSV", field=path.name) from None


def _line(number: int, line: Mapping[str, str | None], contract: Contract, now: int) -> _Read | Line:
    id, row, label, at = ((line.get(name) or "").strip() for name in ("id", "row", "label", "at"))
    if not id:
        return Line(number, "id is empty")
    if row and not (row.isascii() and row.isdigit() and len(row) < 10):
        return Line(number, f"row {row!r}; allowed: a number from 0")
    try:
        given = read_label(contract, place=number, id=id, row=int(row) if row else None, label=label)
        event = event_time(at, now) if at else 0
    except Rejected as error:
        said = {"id": _quoted(id), "row": row or "is missing", "label": _quoted(label), "at": _quoted(at)}[
            str(error.field)
        ]
        return Line(number, f"{error.field} {said}; allowed: {(error.limit or '').removeprefix('one of: ')}")
    return _Read(number, int(row) if row else None, given, event)


def _entity_line(number: int, line: Mapping[str, str | None], contract: Contract, now: int) -> _Seen | Line:
    entity, at, label = ((line.get(name) or "").strip() for name in ("entity", "at", "label"))
    if not entity:
        return Line(number, "entity is empty")
    try:
        return _Seen(entity, event_time(at, now), parse_label(contract, label))
    except Rejected as error:
        said = {"label": _quoted(label), "at": _quoted(at)}[str(error.field)]
        return Line(number, f"{error.field} {said}; allowed: {(error.limit or '').removeprefix('one of: ')}")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")


def rows_of_each(workspace: Workspace, model: str, ids: set[str]) -> Mapping[str, int]:
    """Rows of each prediction, wherever it is: in the tables, or still in the log, or compacted while we looked."""
    found = dict(known(workspace, model, sorted(ids)))
    if missing := ids - set(found):
        found |= _in_log(workspace, model, missing)
    if missing := ids - set(found):
        found |= known(workspace, model, sorted(missing))
    return found


def _in_log(workspace: Workspace, model: str, ids: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for folder in folders(workspace.wal):
        for file in [*segment_files(folder, SEALED), *segment_files(folder, OPEN)]:
            try:
                records = sound_records(file)
            except FileNotFoundError:  # sealed or compacted meanwhile
                sealed = SegmentFile(file.writer, file.number, file.path.with_suffix(SEALED))
                if not sealed.path.exists():
                    continue
                records = sound_records(sealed)
            for record in records:
                if isinstance(record, Predicted) and record.model == model and record.id in ids:
                    found[record.id] = record.rows
    return found
