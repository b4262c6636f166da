"""Labels from a file reach the journal when, and only when, they fit a prediction and the contract."""

from __future__ import annotations

import dataclasses
import random
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.domain import NOON, contract
from builders.journal import AT, VERSION, journal, label, pid, predicted
from modelmark.domain.classes import parse_label
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.workspace import Workspace
from modelmark.feedback.labels import LabelImport, import_labels
from modelmark.journal.tables import compact as compaction
from modelmark.journal.tables import label_sources as module
from modelmark.journal.tables.cohorts import cohort_sizes
from modelmark.journal.tables.compact import Compactor, compact
from modelmark.journal.tables.label_sources import NONE, LabelSource, label_sources
from modelmark.journal.tables.query import find, labelled
from modelmark.journal.tables.rows import RowFilter, rows
from modelmark.journal.wal.records import Labelled
from modelmark.journal.wal.writer import Writer


def bring(space: Workspace, folder: Path, text: str) -> LabelImport:
    """Takes a file in which p1 stands for an id of that name."""
    path = folder / "labels.csv"
    path.write_text(re.sub(r"^p\d\b", lambda name: pid(name[0]), text, flags=re.MULTILINE), encoding="utf-8")
    with Writer(space.wal) as writer:
        return import_labels(path, "loans", contract(), space, writer, NOON)


def test_every_line_of_a_file_of_labels_is_accounted_for(tmp_path: Path) -> None:
    space = journal(
        tmp_path, predicted(pid("p1")), predicted(pid("p2"), ages=(1.0, 2.0), jobs=("a", "b")), predicted(pid("p3"))
    )
    compact(space)
    journal(tmp_path, predicted(pid("p4")))  # not compacted yet
    lines = [
        "id,row,label",
        "p1,,1",
        "p1,0,1.0",
        "p2,1,0",
        "p2,,1",
        "p2,7,1",
        "p3,0,0",
        "p3,0,1",
        "p4,,0",
        "p9,,1",
        "p1,,2",
        "p1,,1",
        "z" * 32 + ",,1",
    ]
    found = bring(space, tmp_path, "\n".join(lines) + "\n")
    assert dataclasses.replace(found, examples=()) == LabelImport(
        accepted=3, unknown=1, duplicates=2, conflicting=2, refused=4, examples=()
    )
    assert [line.number for line in found.examples] == [5, 6, 7, 8, 10, 11, 13]
    assert found.examples[0].reason == "row is missing; allowed: 0 to 1"
    assert found.examples[-2].reason == "label '2'; allowed: 0, 1"
    assert found.examples[-1].reason == f"id {'z' * 32!r}; allowed: 32 hexadecimal digits"
    compact(space)
    assert find(space, pid("p1"))[0]["label"] == "1"
    assert [row["label"] for row in find(space, pid("p2"))] == [None, "0"]
    assert {name: find(space, pid("p3"))[0][name] for name in ("label", "conflicting")} == {
        "label": None, "conflicting": ["0", "1"]
    }  # fmt: skip
    assert find(space, pid("p4"))[0]["label"] == "0"


def test_what_is_no_file_of_labels_is_refused_whole(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="columns"):
        bring(Workspace(tmp_path), tmp_path, "prediction,truth\n1,2\n")
    with pytest.raises(Missing), Writer(tmp_path / "wal") as writer:
        import_labels(tmp_path / "none.csv", "loans", contract(), Workspace(tmp_path), writer, NOON)


def test_labels_become_the_contracts_own_values() -> None:
    assert parse_label(contract(outputs=Outputs(classes=(False, True), positive=True)), "TRUE") is True
    assert parse_label(contract(outputs=Outputs(classes=("no", "yes"), positive="yes")), "yes") == "yes"
    number = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())
    assert parse_label(number, "1e3") == 1000.0
    for text in ("", "nan", "inf", "x"):
        with pytest.raises(Rejected, match="finite"):
            parse_label(number, text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("id,label\n" + "p1,1\n" * 40_000, "TABLE_TOO_LARGE", id="more than fits"),
        pytest.param("id,label" + ",x" * 21_000 + "\n", "TOO_MANY_COLUMNS", id="21,000 columns"),
        pytest.param("id,label\np1," + "1" * 200_000 + "\n", "BAD_CSV", id="a field of 200,000 characters"),
        pytest.param("id,label\n\ud800,1\n", "BAD_CSV", id="half of a surrogate pair"),
    ],
)
def test_a_file_of_labels_that_would_not_fit_is_refused(tmp_path: Path, text: str, code: str, monkeypatch) -> None:
    monkeypatch.setenv("MODELMARK_TABLE_MB", "2")
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(Rejected) as caught, Writer(tmp_path / "wal") as writer:
        import_labels(path, "loans", contract(), Workspace(tmp_path), writer, NOON)
    assert caught.value.code == code


def test_odd_lines_of_labels_are_refused_one_by_one(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted(pid("p1")))
    lines = [
        "id,row,label",
        "p1,," + "9" * 5000,
        "p1," + "9" * 5000 + ",1",
        "=cmd(),,1",
        "p1,,=1",
        "\x1b[31m,,1",
        "p1,,\x00",
        ",,",
        "p1",
    ]
    found = bring(space, tmp_path, "\n".join(lines) + "\n")
    assert (found.accepted, found.unknown + found.refused) == (0, 8)


def test_a_label_that_comes_before_its_prediction_is_kept_aside_and_counts_once_that_is_here(tmp_path: Path) -> None:
    space = journal(tmp_path, predicted(pid("p1")))
    assert bring(space, tmp_path, "id,label\np1,1\np7,0\n").unknown == 1
    compact(space)
    assert [(s.accepted, s.unknown) for s in label_sources(space, "loans").latest()] == [(1, 1)]
    journal(tmp_path, predicted(pid("p7")))
    compact(space)
    assert find(space, pid("p7"))[0]["label"] == "0"
    assert [(s.accepted, s.unknown) for s in label_sources(space, "loans").latest()] == [(2, 0)]


def test_a_later_label_settles_a_conflict_and_until_then_none_counts(tmp_path: Path) -> None:
    hour = 3_600_000_000_000
    space = journal(tmp_path, predicted(pid("p1")), predicted(pid("p2")), label(pid("p1"), 1, at=AT - hour))

    def counted() -> list[tuple[str, str]]:
        compact(space)
        rows = labelled(space, "loans", NOON, NOON + timedelta(days=1), by="prediction").to_pylist()
        (size,) = cohort_sizes(space, "loans", VERSION, [NOON], NOON + timedelta(days=1), paths=("model",))
        assert size.labels == len(rows), "the two ways of counting agree"
        return [(row["label"], row["label_source"]) for row in rows]

    assert counted() == [("1", "test")]
    bring(space, tmp_path, "id,label\np1,1\np1,0\np1,1\n")
    assert counted() == []
    assert find(space, pid("p1"))[0]["conflicting"] == ["0", "1"], "each side once"
    journal(tmp_path, label(pid("p1"), 0, at=AT + hour))
    assert counted() == [("0", "test")]
    assert find(space, pid("p1"))[0]["label"] == "0"


def test_each_source_is_counted(tmp_path: Path) -> None:
    two = predicted(pid("p2"), ages=(1.0, 2.0), jobs=("a", "b"))
    crm = [label(pid("p1"), 1), label(pid("p1"), 1, at=AT + 1), label(pid("p2"), 1, row=99), label(pid("p8"), 1)]
    both = [label(pid("p2"), side, row=1, at=AT + 9) for side in (0, 1)]
    space = journal(tmp_path, predicted(pid("p1")), two, *crm, *both, label(pid("p1"), 1, model="other"))
    assert label_sources(space, "loans").latest() == []
    compact(space)
    assert label_sources(space, "loans").latest() == [
        LabelSource(source="test", accepted=1, conflicting=1, unknown=1, no_such_row=1, last=NOON)
    ]


def test_sums_by_source_that_are_kept_are_those_of_counting_anew_and_lead_to_as_many_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Labels early and late, again and otherwise, of rows that are not there, by three sources; files rewritten between."""
    monkeypatch.setattr(compaction, "SMALL_FILES", 2)
    draw, space, kept = random.Random(3), Workspace(tmp_path), NONE
    names = [pid(f"p{k}") for k in range(12)]
    for step in range(8):
        told = [
            predicted(name, ages=(1.0, 2.0), jobs=("a", "b")) for name in (names[step], names[-1 - step]) if step < 6
        ]
        said = [
            Labelled(draw.choice([*names, pid("never")]), draw.choice([0, 1, 1, 7]), AT + draw.randrange(3), "loans",
                     draw.choice([0, 1]), draw.choice(["crm", "file", "desk"]))
            for _ in range(6)
        ]  # fmt: skip
        journal(tmp_path, *told, *said)
        compact(space)
        if step == 5:
            Compactor(space).maintain()
        kept, anew = label_sources(space, "loans", kept), label_sources(space, "loans")
        assert (kept.latest(), kept.waiting) == (anew.latest(), anew.waiting), step
        for one in kept.latest():
            for count, asked in ((one.accepted, {"labelled": True}), (one.conflicting, {"conflicting": True})):
                assert rows(space, "loans", RowFilter(source=one.source, **asked), limit=99).num_rows == count
    counts = [(one.accepted, one.conflicting, one.unknown, one.no_such_row) for one in kept.latest()]
    assert len(counts) == 3
    assert all(map(any, zip(*counts, strict=True))), "each kind was there to be counted"


def test_only_what_came_since_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = journal(tmp_path, predicted(pid("p1")), predicted(pid("p2")), label(pid("p1"), 1))
    compact(space)
    kept = label_sources(space, "loans")
    assert label_sources(space, "loans", kept) is kept
    journal(tmp_path, label(pid("p2"), 1))
    compact(space)
    touched: list[int] = []

    def counted(connection: Any, model: str, labels: str, predictions: str) -> Any:
        touched.extend(connection.execute("SELECT count(*) FROM touched").fetchall()[0])
        return count(connection, model, labels, predictions)

    count = module._counted
    monkeypatch.setattr(module, "_counted", counted)
    (one,) = label_sources(space, "loans", kept).latest()
    assert (one.accepted, touched) == (2, [1, 1])
