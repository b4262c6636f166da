"""Which line of a file of labels is taken, for whose prediction, and what is told of those that are not."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from builders.domain import NOON, contract
from builders.journal import journal, pid, predicted
from modelmark.domain.errors import Malformed, Missing
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.domain.workspace import Workspace
from modelmark.feedback import labels
from modelmark.feedback.labels import LabelImport, Line, import_labels
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import find
from modelmark.journal.tables.schema import table_of
from modelmark.journal.wal.reader import segment_files
from modelmark.journal.wal.writer import OPEN, SEALED, Writer


def bring(space: Workspace, text: str | bytes, model: str = "loans") -> LabelImport:
    """Takes a file in which one stands for an id of that name."""
    path = space.root / "labels.csv"
    if isinstance(text, str):
        text = re.sub(
            r"^( ?)(ours|theirs|one|two|p\d|x\d+)\b", lambda m: m[1] + pid(m[2]), text, flags=re.MULTILINE
        ).encode()
    path.write_bytes(text)
    with Writer(space.wal) as writer:
        return import_labels(path, model, contract(), space, writer, NOON)


@pytest.mark.parametrize("compacted", [True, False])
def test_another_models_prediction_is_nobodys(tmp_path: Path, compacted: bool) -> None:
    space = journal(tmp_path, predicted(pid("ours")), predicted(pid("theirs"), model="other"))
    if compacted:
        compact(space)
    found = bring(space, "id,label\nours,1\ntheirs,1\n")
    assert (found.accepted, found.unknown) == (1, 1)
    assert found.examples == (Line(3, f"no prediction {pid('theirs')!r} of loans"),)
    compact(space)
    assert find(space, pid("theirs"))[0]["label"] is None
    assert find(space, pid("ours"))[0]["label"] == "1"


def test_two_models_in_one_table_stay_two(tmp_path: Path) -> None:
    """A name that is no model's name is kept under its digest, which somebody may have given a model of theirs."""
    other = "Other Model"
    ours = hashlib.sha256(other.encode()).hexdigest()[:16]
    assert table_of(ours) == table_of(other)
    space = journal(tmp_path, predicted(pid("ours"), model=ours), predicted(pid("theirs"), model=other))
    compact(space)
    found = bring(space, "id,label\nours,1\ntheirs,1\n", model=ours)
    assert (found.accepted, found.unknown) == (1, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param("two,-1,1", "row '-1'; allowed: a number from 0", id="below none"),
        pytest.param("two,2,1", "row 2; allowed: 0 to 1", id="one too far"),
        pytest.param("two,²,1", "row '²'; allowed: a number from 0", id="a digit of another kind"),
        pytest.param("two,٣,1", "row '٣'; allowed: a number from 0", id="a digit of another script"),
        pytest.param("two,1234567890,1", "row '1234567890'; allowed: a number from 0", id="ten digits"),
        pytest.param("two,123456789,1", "row 123456789; allowed: 0 to 1", id="nine digits"),
        pytest.param("two,,1", "row is missing; allowed: 0 to 1", id="two rows and none said"),
        pytest.param("one,1,1", "row 1; allowed: 0 to 0", id="one row and another said"),
        pytest.param(" ,0,1", "id is empty", id="a blank id"),
        pytest.param("z" * 32 + ",0,1", f"id {'z' * 32!r}; allowed: 32 hexadecimal digits", id="no hexadecimal digits"),
        pytest.param(
            "A" * 32 + ",0,1", f"id {'A' * 32!r}; allowed: 32 hexadecimal digits", id="as no writer spells it"
        ),
        pytest.param("=cmd(),0,1", "id '=cmd()'; allowed: 32 hexadecimal digits", id="a formula"),
        pytest.param("x" * 9999 + ",0,1", f"id '{'x' * 64}…'; allowed: 32 hexadecimal digits", id="far too long"),
        pytest.param("two,0,maybe", "label 'maybe'; allowed: 0, 1", id="no class"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_with_its_number_and_what_is_allowed(
    tmp_path: Path, line: str, reason: str
) -> None:
    space = journal(tmp_path, predicted(pid("one")), predicted(pid("two"), ages=(1.0, 2.0), jobs=("a", "b")))
    found = bring(space, f"id,row,label\none,0,1\n{line}\n")
    assert (found.accepted, found.refused, found.unknown) == (1, 1, 0)
    assert found.examples == (Line(3, reason),)


def test_a_line_whose_id_says_how_many_rows_there_are_is_refused_before_anything_is_looked_for(tmp_path: Path) -> None:
    two = PredictionIds("ab" * 16).next(1_700_000_000_000_000_000, 2)
    found = bring(journal(tmp_path), f"id,row,label\n{two},2,1\n{two},,1\n{two},1,1\n")
    assert (found.refused, found.unknown) == (2, 1)
    assert [line.reason for line in found.examples[:2]] == ["row 2; allowed: 0 to 1", "row is missing; allowed: 0 to 1"]


@pytest.mark.parametrize(
    "line", [pytest.param("two,0,1", id="the first row"), pytest.param("two,1,1", id="the last"), " two , 1 , 1 "]
)
def test_a_line_that_fits_is_taken(tmp_path: Path, line: str) -> None:
    space = journal(tmp_path, predicted(pid("two"), ages=(1.0, 2.0), jobs=("a", "b")))
    assert bring(space, f"\ufeffid,row,label\n{line}\n").accepted == 1  # a byte order mark is no part of a name


def test_labels_keep_their_moment_their_file_and_their_place(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted(pid("one")))
    bring(space, "id,label\none,1\n")
    compact(space)
    (row,) = find(space, pid("one"))
    assert row["labelled_at"] == NOON
    with Writer(space.wal) as writer:
        kept: list[object] = []
        writer.append_many = kept.extend  # type: ignore[method-assign, assignment]
        import_labels(space.root / "labels.csv", "loans", contract(), space, writer, NOON)
    assert kept == [labels.Labelled(pid("one"), 0, int(NOON.timestamp()) * 10**9, "loans", 1, "file:labels.csv")]


def test_long_files_are_appended_in_batches_and_twenty_lines_are_shown(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(labels, "BATCH", 2)
    space = journal(tmp_path, *(predicted(pid(f"p{k}")) for k in range(5)))
    sizes: list[int] = []
    real = Writer.append_many

    def counting(self: Writer, records):
        sizes.append(len(records))
        return real(self, records)

    monkeypatch.setattr(Writer, "append_many", counting)
    lines = [f"p{k},1" for k in range(5)] + [f"x{k},1" for k in range(20, 0, -1)] + ["p0,maybe"]
    found = bring(space, "id,label\n" + "\n".join(lines) + "\n")
    assert sizes == [2] * 12 + [1], "what nobody predicted is kept aside as well"
    assert (found.accepted, found.unknown, found.refused) == (5, 20, 1)
    assert [line.number for line in found.examples] == list(range(7, 27))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"id,row\none,1\n", "BAD_COLUMNS"),
        (b"label,row\none,1\n", "BAD_COLUMNS"),
        (b"", "BAD_COLUMNS"),
        (b"id,label\none,\xff\n", "BAD_CSV"),
    ],
)
def test_a_file_without_its_columns_or_its_encoding_is_refused_whole(tmp_path: Path, text: bytes, code: str) -> None:
    with pytest.raises(Malformed) as caught:
        bring(journal(tmp_path, predicted(pid("one"))), text)
    assert (caught.value.code, caught.value.field) == (code, "labels.csv")
    with pytest.raises(Missing) as gone, Writer(tmp_path / "wal") as writer:
        import_labels(tmp_path / "none.csv", "loans", contract(), Workspace(tmp_path), writer, NOON)
    assert gone.value.code == "NO_FILE"


def test_a_segment_that_is_sealed_while_it_is_read_is_read_where_it_went(tmp_path: Path, monkeypatch) -> None:
    """The file found open is gone when it is opened: its sealed twin holds the same, or nothing does any more."""
    space = journal(tmp_path, predicted(pid("one")))
    sealed = [file for folder in labels.folders(space.wal) for file in segment_files(folder, SEALED)]
    as_open = [labels.SegmentFile(f.writer, f.number, f.path.with_suffix(OPEN)) for f in sealed]
    monkeypatch.setattr(labels, "segment_files", lambda _, kind: as_open if kind == OPEN else [])
    assert bring(space, "id,label\none,1\n").accepted == 1
    for file in sealed:
        file.path.unlink()
    assert bring(space, "id,label\none,1\n").unknown == 1


def test_a_segment_that_was_tampered_with_hides_no_other(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted(pid("one")))
    folder = next(iter(labels.folders(space.wal)))
    first = segment_files(folder, SEALED)[0].path
    damaged = first.with_name("9" * len(first.stem) + first.suffix)
    damaged.write_bytes(b"x" + first.read_bytes()[1:])
    assert damaged != first
    assert bring(space, "id,label\none,1\n").accepted == 1


def test_what_is_compacted_between_two_looks_is_found_by_the_third(tmp_path: Path, monkeypatch) -> None:
    space = journal(tmp_path, predicted(pid("one")))
    monkeypatch.setattr(labels, "_in_log", lambda workspace, *_: (compact(workspace) and {}) or {})
    assert bring(space, "id,label\none,1\n").accepted == 1
