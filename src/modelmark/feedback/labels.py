"""Labels from a file: each line checked against the contract and against what was really predicted."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from modelmark.contract.table_file import require_fits
from modelmark.domain.classes import class_text, parse_label
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.strict import Scalar
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.query import known
from modelmark.journal.wal.reader import SegmentFile, folders, segment_files
from modelmark.journal.wal.records import Labelled, Predicted
from modelmark.journal.wal.salvage import sound_records
from modelmark.journal.wal.writer import OPEN, SEALED, Writer

BATCH: Final = 5000
SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was not taken. number: in the file, the header being 1."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelImport:
    """What became of every line. duplicates: repeated word for word, taken once. conflicting: lines that give one row
    two labels; none of them is taken. unknown: ids nobody predicted. refused: lines that break the contract or cannot
    be read. examples: the first lines not taken, with the reason."""

    accepted: int
    unknown: int
    duplicates: int
    conflicting: int
    refused: int
    examples: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    number: int
    id: str
    row: int | None
    label: Scalar


def import_labels(
    path: Path, model: str, contract: Contract, workspace: Workspace, writer: Writer, at: datetime
) -> LabelImport:
    """Read a CSV of id, label and, where predictions had several rows, row; append what holds to the journal.

    Raises Missing when there is no such file, Malformed when it is no CSV with those columns, NotYet as the writer
    does.
    """
    notes: list[Line] = []
    given: list[_Given] = []
    refused = 0
    for item in _lines(path, contract):
        if isinstance(item, Line):
            refused += 1
            notes.append(item)
        else:
            given.append(item)
    rows = _rows(workspace, model, {item.id for item in given})
    placed: dict[tuple[str, int], list[_Given]] = {}
    unknown = 0
    for item in given:
        count = rows.get(item.id)
        row = 0 if item.row is None and count == 1 else item.row
        if count is None:
            unknown += 1
            notes.append(Line(item.number, f"no prediction {item.id!r} of {model}"))
        elif row is None or not 0 <= row < count:
            refused += 1
            notes.append(Line(item.number, f"row {'is missing' if row is None else row}; allowed: 0 to {count - 1}"))
        else:
            placed.setdefault((item.id, row), []).append(item)
    taken: list[Labelled] = []
    duplicates = conflicting = 0
    moment = int(at.timestamp() * 1e6) * 1000
    for (id, row), same in placed.items():
        if len({class_text(item.label) for item in same}) > 1:
            conflicting += len(same)
            notes += [Line(item.number, f"another line gives {id!r} row {row} another label") for item in same]
            continue
        duplicates += len(same) - 1
        taken.append(Labelled(id, row, moment, model, same[0].label, f"file:{path.name}"))
    for start in range(0, len(taken), BATCH):
        writer.append_many(taken[start : start + BATCH])
    return LabelImport(
        accepted=len(taken),
        unknown=unknown,
        duplicates=duplicates,
        conflicting=conflicting,
        refused=refused,
        examples=tuple(sorted(notes, key=lambda line: line.number)[:SHOWN]),
    )


def _lines(path: Path, contract: Contract) -> Iterator[_Given | Line]:
    if not path.is_file():
        raise Missing(f"there is no file {path}", code="NO_FILE", field=str(path))
    require_fits(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"id", "label"} <= set(reader.fieldnames or ()):
                raise Malformed(
                    f"{path.name} has the columns {', '.join(reader.fieldnames or ['none'])}",
                    code="BAD_COLUMNS",
                    field=path.name,
                    limit="id, label and, for predictions of several rows, row",
                )
            for line in reader:
                yield _line(reader.line_num, line, contract)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed(f"{path.name} cannot be read as CSV: {error}", code="BAD_CSV", field=path.name) from None


def _line(number: int, line: Mapping[str, str | None], contract: Contract) -> _Given | Line:
    id, row, label = ((line.get(name) or "").strip() for name in ("id", "row", "label"))
    if not id:
        return Line(number, "id is empty")
    if row and not (row.isascii() and row.isdigit() and len(row) < 10):
        return Line(number, f"row {row!r}; allowed: a number from 0")
    try:
        return _Given(number, id, int(row) if row else None, parse_label(contract, label))
    except Rejected as error:
        return Line(number, f"label {label!r}; allowed: {(error.limit or '').removeprefix('one of: ')}")


def _rows(workspace: Workspace, model: str, ids: set[str]) -> Mapping[str, int]:
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
