"""What the dashboard reads from the tables, against a journal whose every record is known."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from builders.domain import NOON
from builders.journal import VERSION, journal, predicted, refused, schema
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.journal.tables.query import refusal_records, refusals
from modelmark.journal.tables.rows import RowFilter, rows
from modelmark.journal.tables.schema import refusals_table
from modelmark.journal.tables.service import answered as served
from modelmark.journal.tables.service import heard
from modelmark.journal.tables.timeline import Span, Timeline, timeline
from modelmark.journal.wal.writer import Writer

START, END = NOON, NOON + timedelta(hours=1)
SECOND = 1_000_000_000


def at(seconds: float) -> int:
    return int(NOON.timestamp() * 1e9 + seconds * SECOND)


@pytest.fixture
def known(tmp_path: Path) -> Workspace:
    """Two minutes of traffic, a gap, a third; what lies before START and at END; two other models."""
    workspace = journal(
        tmp_path,
        predicted("a1", at=at(1), score=0.2, micros=100),
        predicted("a2", at=at(30), ages=(30.0, 50.0), jobs=("a", "b"), score=0.7, micros=300),
        predicted("a3", at=at(61), score=0.5, micros=200, path="constant"),
        predicted("a4", at=at(600), score=1.0, micros=400, path="previous_version"),
        predicted("before", at=at(-0.001), score=0.9),
        predicted("end", at=at(3600), score=0.9),
        predicted("other", at=at(5), model="churn"),
        refused(3, at=at(10)),
        refused(4, at=at(20)),
        refused(100, at=at(3600)),
    )
    compact(workspace)
    return workspace


def test_rows_of_a_table_are_requests_that_nobody_waited_for(tmp_path: Path):
    workspace = journal(
        tmp_path,
        predicted("a1", at=at(1), micros=100),
        predicted("t1", at=at(2), ages=(30.0, 40.0, 50.0), jobs=("a", "b", "a"), micros=0),
        predicted("t2", at=at(61), ages=(30.0, 40.0), jobs=("a", "b"), micros=0),
    )
    compact(workspace)
    first, second = timeline(workspace, "loans", START, END, seconds=60).slots
    assert (first.requests, first.rows, first.p50_micros) == (4, 4, 100)
    assert (second.requests, second.rows, second.p50_micros, second.p99_micros) == (2, 2, None, None)
    span = timeline(workspace, "loans", START, END, seconds=60).span
    assert (span.requests, span.p99_micros) == (6, 100)
    (by_version,) = timeline(workspace, "loans", START, END, seconds=60).arms.values()
    assert (by_version.requests, by_version.p50_micros) == (6, 100)
    assert served(workspace, "loans", VERSION, START, END, slower_than=0.01) == (1, 1)
    assert heard(workspace, "loans", START, END) == (1, NOON + timedelta(seconds=1), NOON + timedelta(seconds=1))


def test_slots_count_requests_and_rows_in_buckets_that_hold_any(known: Workspace):
    slots = timeline(known, "loans", START, END, seconds=60).slots
    assert [(slot.at, slot.requests, slot.rows, slot.fallbacks) for slot in slots] == [
        (NOON, 2, 3, 0),
        (NOON + timedelta(minutes=1), 1, 1, 1),
        (NOON + timedelta(minutes=10), 1, 1, 1),
    ]
    assert slots[0].p50_micros == 300
    assert slots[0].p99_micros == pytest.approx(np.quantile([100, 300, 300], 0.99))


def test_a_span_holds_its_start_and_not_its_end(known: Workspace):
    span = timeline(known, "loans", START, END, seconds=60).span
    assert (span.requests, span.rows, span.fallbacks) == (4, 5, 2)
    assert span.p50_micros == pytest.approx(np.quantile([100, 300, 300, 200, 400], 0.5))
    assert span.p99_micros == pytest.approx(np.quantile([100, 300, 300, 200, 400], 0.99))
    longer = timeline(known, "loans", START - timedelta(seconds=1), END + timedelta(seconds=1), seconds=60).span
    assert (longer.requests, longer.rows) == (6, 7)


def test_scores_are_counted_in_bins_with_the_last_one_closed(known: Workspace):
    counts = timeline(known, "loans", START, END, seconds=60, bins=10).span.counts
    assert counts == (0, 0, 1, 0, 0, 1, 0, 2, 0, 1)


def test_decisions_are_those_that_were_answered(known: Workspace):
    span = timeline(known, "loans", START, END, seconds=60).span
    assert span.decided == {"0": 1, "1": 4}
    assert span.mean_score == pytest.approx((0.2 + 0.7 + 0.7 + 0.5 + 1.0) / 5)
    assert span.values is None


def test_values_of_a_regression_fall_in_bins_and_what_lies_outside_in_the_outermost(tmp_path: Path):
    workspace = Workspace(tmp_path)
    with Writer(workspace.wal) as writer:
        writer.declare(schema(task="regression", classes=[], positive=None))
        for i, value in enumerate((-50.0, 10.0, 11.0, 19.9, 400.0)):
            writer.append(predicted(f"r{i}", at=at(i), scores=np.array([value], "<f8").tobytes()))
    compact(workspace)
    span = timeline(workspace, "loans", START, END, seconds=60, low=10.0, high=20.0, bins=5).span
    assert span.counts == (3, 0, 0, 0, 2)
    assert span.values is not None
    assert span.values[1] == 11.0
    assert span.decided == {}


def test_refusals_are_summed_by_reason_within_the_span(known: Workspace):
    assert refusals(known, "loans", START, END) == {("OUT_OF_RANGE", "age"): 7}
    assert refusals(known, "churn", START, END) == {}


def test_refusals_are_told_by_the_version_that_would_have_answered(tmp_path: Path):
    other = "sha256:" + "e" * 64
    records = [
        refused(3, at=at(1)),
        refused(2, at=at(2), version=other, arm="canary"),
        refused(9, at=at(3), version=""),
    ]
    workspace = journal(tmp_path, *records)
    compact(workspace)
    each = [refusals(workspace, "loans", START, END, version=version) for version in (VERSION, other)]
    assert each == [{("OUT_OF_RANGE", "age"): 3}, {("OUT_OF_RANGE", "age"): 2}]
    assert refusals(workspace, "loans", START, END) == {("OUT_OF_RANGE", "age"): 14}, (
        "an earlier release did not say whose"
    )


def test_refusals_that_an_earlier_release_wrote_are_nobodys_and_are_joined_by_later_ones(tmp_path: Path):
    from deltalake import DeltaTable, write_deltalake

    workspace = journal(tmp_path, refused(3, at=at(1)))
    compact(workspace)
    earlier = DeltaTable(str(workspace.tables / "refusals")).to_pyarrow_table().drop_columns(["version", "arm"])
    shutil.rmtree(workspace.tables / "refusals")
    write_deltalake(str(workspace.tables / "refusals"), earlier)
    assert refusals(workspace, "loans", START, END, version=VERSION) == {}
    assert refusals(workspace, "loans", START, END) == {("OUT_OF_RANGE", "age"): 3}
    write_deltalake(
        str(workspace.tables / "refusals"), refusals_table([refused(4, at=at(2))]), mode="append", schema_mode="merge"
    )
    assert refusals(workspace, "loans", START, END, version=VERSION) == {("OUT_OF_RANGE", "age"): 4}
    assert refusals(workspace, "loans", START, END) == {("OUT_OF_RANGE", "age"): 7}


def test_the_latest_rows_come_newest_first_and_a_request_s_rows_in_order(known: Workspace):
    newest = rows(known, "loans", RowFilter(), limit=5).to_pylist()
    assert [(row["id"], row["row"]) for row in newest] == [("end", 0), ("a4", 0), ("a3", 0), ("a2", 0), ("a2", 1)]
    assert newest[1]["at"] == NOON + timedelta(minutes=10)
    assert newest[1]["path"] == "previous_version"
    assert newest[3]["prediction"] == "1"


def test_a_model_without_a_table_and_a_span_without_rows_are_empty(known: Workspace, tmp_path: Path):
    assert timeline(known, "nobody", START, END, seconds=60) == Timeline()
    assert rows(known, "nobody", RowFilter(), limit=5).num_rows == 0
    assert refusals(Workspace(tmp_path / "none"), "loans", START, END) == {}
    quiet = timeline(known, "loans", END + timedelta(days=1), END + timedelta(days=2), seconds=60)
    assert quiet.slots == ()
    assert quiet.span == Span()


def test_what_each_version_answered_stands_side_by_side(known: Workspace):
    whole = timeline(known, "loans", START, END, seconds=3600).span
    each = timeline(known, "loans", START, END, seconds=3600).arms
    assert sum(one.requests for one in each.values()) == whole.requests
    assert sum(one.rows for one in each.values()) == whole.rows
    assert sum(one.fallbacks for one in each.values()) == whole.fallbacks
    assert all(one.p50_micros <= one.p99_micros for one in each.values())


def test_the_whole_of_several_versions_is_measured_over_all_their_rows(tmp_path: Path):
    other = "sha256:" + "e" * 64
    told = [predicted("a", at=at(1), micros=100), predicted("b", at=at(2), micros=900, version=other)]
    workspace = journal(tmp_path, *told)
    compact(workspace)
    whole = timeline(workspace, "loans", START, END, seconds=3600)
    assert {id: one.p50_micros for id, one in whole.arms.items()} == {
        VERSION.removeprefix("sha256:"): 100,
        "e" * 64: 900,
    }
    assert (whole.span.rows, whole.span.p50_micros) == (2, 500)


@pytest.mark.parametrize("folder", ["it's odd*?", "plain"])
def test_inputs_that_came_later_are_empty_in_earlier_rows_wherever_the_workspace_lies(folder: str, tmp_path: Path):
    workspace = Workspace(tmp_path / folder)
    for number, numeric in enumerate((["age"], ["age", "pay"])):
        with Writer(workspace.wal) as writer:
            writer.declare(schema(numeric=numeric))
            numbers = np.arange(1.0, 1 + len(numeric)).astype("<f8").tobytes()
            writer.append(predicted(f"r{number}", at=at(number), numbers=numbers))
        compact(workspace)
    shutil.copytree(workspace.root, tmp_path / "it's oddly like it")  # which a pattern would take for the other
    found = rows(workspace, "loans", RowFilter(start=START, end=END), limit=9).to_pylist()
    assert [(row["num_age"], row["num_pay"]) for row in found] == [(1.0, 2.0), (1.0, None)]
    assert timeline(workspace, "loans", START, END, seconds=3600).span.rows == 2


def test_a_refused_code_leads_to_its_counts_with_the_version_that_would_have_answered(tmp_path: Path):
    other = "sha256:" + "e" * 64
    records = [refused(3, at=at(1)), refused(2, at=at(2), version=other, arm="canary")]
    workspace = journal(tmp_path, *records)
    compact(workspace)
    found = refusal_records(workspace, "loans", START, END, code="OUT_OF_RANGE", field="age")
    assert [(one["count"], one["version"], one["arm"]) for one in found] == [
        (2, "e" * 64, "canary"), (3, VERSION, "champion"),
    ]  # fmt: skip
    assert refusal_records(workspace, "loans", START, END, code="MISSING_FIELD") == []
    assert refusal_records(workspace, "loans", END, END + timedelta(hours=1)) == []
    assert refusal_records(Workspace(tmp_path / "none"), "loans", START, END) == []
