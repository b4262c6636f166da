"""A drill tells what monitors find of what was put there, what they miss, and what they cry at without cause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from builders.domain import NOON
from builders.steward import DEAL, traffic, watched
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors, PerformanceMonitor
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.routes import ArmRole
from modelmark.steward.drill.faults import FAULTS
from modelmark.steward.drill.looks import Past
from modelmark.steward.drill.run import Drill, DrillOutcome, DrillReport
from modelmark.steward.drill.traffic import Answers, Traffic, micros_of
from modelmark.testing.monitoring_store import MemoryMonitoringStore

MINUTES, ROWS = 60, 2_400
SETTINGS = Monitors(
    window_minutes=10.0,
    every_seconds=120.0,
    drift=DriftMonitor(cycle=Cycle.NONE),
    performance=PerformanceMonitor(min_labels=50),
)


def copied(minutes: float = MINUTES, rows: int = ROWS, *, shift: float = 0.0, labels: bool = True) -> Traffic:
    """Every row a request of its own; the truth comes at once, and nine labels in ten are what the model says."""
    seen = traffic(rows, shift=shift)
    age, score = np.array([one[0] for one in seen]), np.array([one[2] for one in seen])
    at = micros_of(NOON) + (np.arange(rows) * minutes * 60_000_000 / rows).astype(np.int64)
    right = np.random.default_rng(3).random(rows) < 0.9
    truth = (score >= 0.5) == right
    never = np.iinfo(np.int64).max
    return Traffic(
        numeric=("age",), textual=("job",), numbers=age.reshape(-1, 1), texts=np.array([[one[1]] for one in seen], object),
        at=at, request=np.arange(rows), micros=np.full(rows, 800), label=truth.astype(int).astype(str).astype(object),
        label_value=np.full(rows, np.nan), labelled_at=at + 1 if labels else np.full(rows, never),
    )  # fmt: skip


def ask(copy: Traffic) -> Answers:
    """A model whose scores lie beside its rows; the contract refuses ages beyond 0 to 120, and nulls."""
    scores = {int(a): s for a, (_, _, s) in zip(copied().at, traffic(ROWS), strict=True)}
    score = np.array([scores.get(int(at), 0.5) for at in copy.at])
    age = copy.numbers[:, 0]
    fine = (age >= 0) & (age <= 120)
    refused = {int(at): ("OUT_OF_RANGE", "age") for at in np.flatnonzero(~fine)}
    kept = np.flatnonzero(fine)
    table = pa.table(
        {
            "id": [f"{at:032x}" for at in kept], "row": np.zeros(len(kept), np.int32), "path": ["model"] * len(kept),
            "micros": [100] * len(kept),
            "score": score[kept], "value": pa.nulls(len(kept), pa.float64()),
            "probabilities": pa.nulls(len(kept), pa.list_(pa.float64())), "num_age": age[kept],
            "cat_job": pa.array(copy.texts[kept, 0].tolist(), pa.string()),
        }
    )  # fmt: skip
    return Answers(table=table, place=kept, refused=refused)


@contextmanager
def books() -> Iterator[MonitoringStore]:
    yield MemoryMonitoringStore()


def drilled(copy: Traffic, settings: Monitors = SETTINGS, **more: Any) -> DrillReport:
    one = replace(watched(0.9), contract=replace(DEAL, monitors=settings), label="v1", arm=ArmRole.CHAMPION.value)
    return Drill(watched=one, traffic=copy, ask=ask, books=books, past=Past(), source="a test", **more)(lambda *_: None)


@pytest.fixture(scope="module")
def report() -> DrillReport:
    return drilled(copied())


def test_each_fault_is_found_by_whose_task_it_is_and_the_copy_itself_is_quiet(report: DrillReport) -> None:
    found = {fault.name: (fault.outcome, fault.monitor, fault.subject) for fault in report.faults}
    assert set(found) == {fault.name for fault in FAULTS}
    assert found == {
        "unit-1000": (DrillOutcome.FOUND, "quality", "requests"),
        "fahrenheit": found["fahrenheit"],
        "swapped-columns": (DrillOutcome.NOT_TRIED, "", ""),
        "frozen-column": (DrillOutcome.FOUND, "drift", "age"),
        "missing-column": (DrillOutcome.FOUND, "quality", "requests"),
        "recoded-category": (DrillOutcome.UNSEEN, "", ""),
        "label-flips": (DrillOutcome.FOUND, "performance", "accuracy"),
        "slow-dependency": (DrillOutcome.FOUND, "service", "latency"),
        "missing-feed": (DrillOutcome.FOUND, "service", "traffic"),
    }
    assert found["fahrenheit"][0] is DrillOutcome.FOUND
    assert report.false_alarms == ()
    assert report.sentence.endswith("0 missed; the copy without a fault raised no alerts in 24 looks.")


def test_the_delay_is_counted_in_rows_and_windows_of_the_fault_alone(report: DrillReport) -> None:
    """Forty rows a minute from the fault on; it begins with a row, so one more may be counted."""
    for fault in report.faults:
        if fault.outcome is DrillOutcome.FOUND:
            assert fault.rows is not None
            assert fault.minutes is not None
            assert fault.windows == pytest.approx(fault.minutes / 10)
            assert 0 < fault.minutes <= 20
            assert abs(fault.rows - 40 * fault.minutes) <= 41


def test_swapping_two_equally_frequent_classes_need_not_be_found_without_labels_and_it_is_said_why(
    report: DrillReport,
) -> None:
    (recoded,) = [fault for fault in report.faults if fault.name == "recoded-category"]
    assert recoded.why == "inputs look as they did; only labels could tell"


def test_what_monitors_miss_is_said_with_their_own_last_words() -> None:
    """Without data quality nobody hears of callers that are refused, and drift has no rows left to judge."""
    deaf = drilled(copied(), replace(SETTINGS, quality=None, performance=None))
    by_name = {fault.name: fault for fault in deaf.faults}
    assert by_name["missing-column"].outcome is DrillOutcome.MISSED
    assert by_name["missing-column"].why.startswith("Cannot tell whether “age” moved")
    assert by_name["frozen-column"].outcome is DrillOutcome.FOUND
    flips = by_name["label-flips"]
    assert (flips.outcome, flips.why) == (
        DrillOutcome.UNSEEN,
        "no performance is watched, or the holdout's is not known",
    )


def test_what_the_copy_cries_at_without_a_fault_is_a_false_alarm_and_never_a_find() -> None:
    odd = drilled(copied(shift=15.0), replace(SETTINGS, performance=None))
    assert [(alarm.monitor, alarm.subjects) for alarm in odd.false_alarms] == [("drift", ("age",))]
    frozen = next(fault for fault in odd.faults if fault.name == "frozen-column")
    assert (frozen.monitor, frozen.subject) != ("drift", "age")
    assert frozen.outcome is DrillOutcome.MISSED


def test_less_than_two_windows_tell_nothing() -> None:
    with pytest.raises(NotEnoughData):
        drilled(copied(minutes=15))


def test_labels_that_never_came_are_no_fault_to_try() -> None:
    (flips,) = [f for f in drilled(copied(labels=False)).faults if f.name == "label-flips"]
    assert (flips.outcome, flips.why) == (DrillOutcome.NOT_TRIED, "no label has come for rows of that time")


def test_the_copied_rows_are_left_as_they_were() -> None:
    copy = copied()
    before = (copy.numbers.copy(), copy.texts.copy(), copy.label.copy())
    after = copy.at >= copy.at[ROWS // 2]
    for fault in FAULTS:
        fault.inject(copy, after, DEAL)
    assert all(
        np.array_equal(one, other) for one, other in zip(before, (copy.numbers, copy.texts, copy.label), strict=True)
    )
