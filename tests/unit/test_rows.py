"""Rows as people look for them: filtered by what an address says, a page at a time, each with its label."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta

import pyarrow.csv
import pyarrow.parquet
import pytest

from builders.domain import NOON, version
from builders.journal import AT, VERSION, journal, label, pid, predicted, schema
from modelmark.domain.errors import Rejected
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.rows import Cursor, RowFilter, rows
from modelmark.web.row_files import FORMS, named
from modelmark.web.row_filters import asked_rows

COLUMNS = {"age": "num_age", "job": "cat_job"}
OTHER = version("other", number=2)
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Four predictions of loans, one of them of two rows, a second apart; the first is the oldest."""
    return_value = journal(
        tmp_path_factory.mktemp("rows"),
        schema(version=OTHER.id.hex),
        predicted(pid("a"), ages=(20.0, 70.0), jobs=("a", None)),
        predicted(pid("b"), score=0.2, at=AT + SECOND),
        predicted(
            pid("c"), at=AT + 2 * SECOND, version=OTHER.id.hex, path="review", flags=[(0, "age", "OUT_OF_RANGE")]
        ),
        predicted(pid("d"), ages=(float("nan"),), at=AT + 3 * SECOND),
        label(pid("a"), 1, at=AT + SECOND),
        label(pid("b"), 1, at=AT + 2 * SECOND),
        label(pid("b"), 0, at=AT + 9 * SECOND),
        label(pid("d"), 0, at=AT + 9 * SECOND),
    )
    compact(return_value)
    return return_value


def found(workspace, **wanted):
    table = rows(workspace, "loans", RowFilter(**wanted), limit=100)
    return [(row["id"], row["row"]) for row in table.to_pylist()]


A, A1, B, C, D = (pid("a"), 0), (pid("a"), 1), (pid("b"), 0), (pid("c"), 0), (pid("d"), 0)


@pytest.mark.parametrize(
    ("wanted", "these"),
    [
        ({}, [D, C, B, A, A1]),
        ({"start": NOON + timedelta(seconds=1), "end": NOON + timedelta(seconds=3)}, [C, B]),
        ({"version": VERSION}, [D, B, A, A1]),
        ({"path": "review"}, [C]),
        ({"answer": "0"}, [B]),
        ({"flag": "OUT_OF_RANGE"}, [C]),
        ({"flag": "OUT_OF_RANGE:age"}, [C]),
        ({"flag": "OUT_OF"}, []),
        ({"labelled": True}, [D, B, A]),
        ({"labelled": False}, [C, A1]),
        ({"label": "0"}, [D, B]),
        ({"wrong": True}, [D]),
        ({"column": "num_age", "low": 30.0}, [C, B, A1]),
        ({"column": "num_age", "low": 40.0, "high": 40.0}, [C, B]),
        ({"column": "num_age", "gap": True}, [D]),
        ({"column": "cat_job", "value": "a"}, [D, C, B, A]),
        ({"column": "cat_job", "gap": True}, [A1]),
        ({"column": "num_gone", "low": 1.0}, []),
    ],
)
def test_a_filter_finds_its_rows_and_no_other(workspace, wanted, these):
    assert found(workspace, **wanted) == these


def test_pages_follow_each_other_without_a_gap_or_a_repeat(workspace):
    seen, after = [], None
    while True:
        page = rows(workspace, "loans", RowFilter(), limit=2, after=after).to_pylist()
        seen += [(row["id"], row["row"]) for row in page]
        if len(page) < 2:
            break
        after = Cursor.read(str(Cursor(page[-1]["at"], page[-1]["id"], page[-1]["row"])))
    assert seen == [D, C, B, A, A1]


def test_each_row_comes_with_its_latest_label(workspace):
    known = {(row["id"], row["row"]): row for row in rows(workspace, "loans", RowFilter(), limit=9).to_pylist()}
    assert (known[B]["label"], known[B]["label_source"]) == ("0", "test")
    assert known[B]["labelled_at"] == NOON + timedelta(seconds=9)
    assert known[C]["label"] is None


def test_without_labels_or_tables_there_is_nothing_to_trip_over(tmp_path):
    alone = journal(tmp_path / "w", predicted(pid("a")))
    assert rows(alone, "loans", RowFilter(), limit=9).num_rows == 0
    compact(alone)
    assert found(alone, labelled=False) == [A]
    assert found(alone, wrong=True) == []


def asked(**fields):
    return asked_rows(
        {k.rstrip("_"): v for k, v in fields.items()}, versions=[version(), OTHER], columns=COLUMNS, now=NOON
    )


def test_an_address_says_which_rows_and_is_written_again_with_all_of_it():
    read = asked(version="v2", input="age", low="3", from_="2026-03-01T14:05", label="none", empty="", wrong="no")
    assert read.wanted == RowFilter(
        version=OTHER.id.hex, column="num_age", low=3.0, labelled=False, start=datetime(2026, 3, 1, 14, 5, tzinfo=UTC)
    )
    again = read.address("/models/loans/rows", after="1.x.0")
    assert again == (
        "/models/loans/rows?from=2026-03-01T14%3A05&version=v2&label=none&wrong=no&input=age&low=3&after=1.x.0"
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"version": "v9"}, "version"),
        ({"input": "height"}, "input"),
        ({"low": "3"}, "input"),
        ({"input": "age", "low": "three"}, "low"),
        ({"input": "age", "high": "inf"}, "high"),
        ({"wrong": "perhaps"}, "wrong"),
        ({"from_": "yesterday"}, "from"),
        ({"flag": "x" * 2000}, "flag"),
    ],
)
def test_what_no_rows_can_be_chosen_by_is_refused_by_field_and_limit(fields, field):
    with pytest.raises(Rejected) as caught:
        asked(**fields)
    assert caught.value.field == field
    assert caught.value.limit


@pytest.mark.parametrize("text", ["", "x", "1.2", "9" * 30 + ".a.1", "1.a.-1", "1..1", "1.a."])
def test_a_page_that_no_page_gave_is_refused(text):
    with pytest.raises(Rejected) as caught:
        Cursor.read(text)
    assert caught.value.code == "BAD_PAGE"


def test_files_hold_what_is_seen_under_the_contracts_names(workspace):
    table = named(rows(workspace, "loans", RowFilter(path="review"), limit=9), COLUMNS)
    read = {form: write(table) for form, (_, write) in FORMS.items()}
    text = pyarrow.csv.read_csv(io.BytesIO(read["csv"])).to_pylist()[0]
    assert (text["age"], text["job"], text["flags"]) == (40.0, "a", "OUT_OF_RANGE:age")
    whole = pyarrow.parquet.read_table(io.BytesIO(read["parquet"])).to_pylist()[0]
    assert (whole["id"], whole["flags"], whole["job"]) == (pid("c"), ["OUT_OF_RANGE:age"], "a")
    assert json.loads(read["json"])[0]["age"] == 40.0
