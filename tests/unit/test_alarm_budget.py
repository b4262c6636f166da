"""The alarm budget: a sequence of labels pages for nothing as seldom as was asked, and finds what no window can tell."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from bench.laws.detector import delay, false_runs

from builders.domain import NOON
from builders.journal import AT, journal, label, pid, predicted
from builders.steward import book, watched
from modelmark.domain.catalogue.monitor_settings import AlarmBudget, PerformanceMonitor
from modelmark.domain.contract import Costs, Objective
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.metrics import Metric, Task
from modelmark.journal.tables.compact import compact
from modelmark.monitors.cohort import History
from modelmark.monitors.monitor import Recorded
from modelmark.monitors.performance import Performance
from modelmark.stats.bootstrap import Interval
from modelmark.stats.looks import reach
from modelmark.stats.metrics import LabelledPredictions, measure, unit_losses
from modelmark.stats.watching.detector import by_unit, detect, evidence
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import Profiler
from modelmark.testing.monitors import quiet_view

DAY = timedelta(days=1)


def test_false_alarms_are_as_far_apart_as_was_asked_and_a_loss_is_found() -> None:
    """The law of bench/laws/detector.py, short: 43,200 labels are a month at sixty an hour."""
    runs = [false_runs(seed, error=0.15, tolerated=0.15, run=2_000.0) for seed in range(60)]
    assert np.mean(runs) > 2_000
    assert np.mean([false_runs(seed, error=0.1, tolerated=0.15, run=2_000.0) for seed in range(10)]) > 12_000
    for after, labels in ((0.2, 900), (0.25, 300), (0.4, 80)):
        found = [delay(seed, before=0.1, after=after, tolerated=0.15, run=43_200.0) for seed in range(7)]
        assert None not in found
        assert sorted(each or 0 for each in found)[3] < labels


def test_the_detector_is_the_sum_over_every_beginning() -> None:
    """By hand, from the definition (Shin, Ramdas & Rinaldo 2023): M_t = L_t (M_{t-1} + 1), mixed over eight bets."""
    losses = np.random.default_rng(0).uniform(size=50)
    total = np.zeros(50)
    for bet in 2.0 ** -np.arange(1, 9):
        m = 0.0
        for t, loss in enumerate(losses):
            m = (1 + bet / 0.4 * (loss - 0.4)) * (m + 1)
            total[t] += m / 8
    assert np.exp(evidence(losses, 0.4)) == pytest.approx(total)
    assert detect(losses, 0.4, 1e9).evidence == pytest.approx(total[-1])


def test_the_change_is_put_where_it_was_and_what_is_over_is_forgotten() -> None:
    rng = np.random.default_rng(1)
    quiet, bad = (rng.uniform(size=3_000) < 0.1).astype(float), (rng.uniform(size=1_000) < 0.4).astype(float)
    found = detect(np.r_[quiet, bad], 0.15, 43_200)
    assert (found.alarms, found.evidence < 1e6) == (True, True), "no more is kept than an alarm needs"
    assert abs(found.since - 3_000) < 60
    assert found.mean == pytest.approx(0.4, abs=0.05)
    assert detect(np.r_[quiet, bad, quiet[:300]], 0.15, 43_200).alarms
    assert not detect(np.r_[quiet, bad, quiet], 0.15, 43_200).alarms
    assert np.isfinite(detect(np.ones(20_000), 0.5, 43_200).evidence)


def test_rows_of_one_request_are_one_and_keep_their_order() -> None:
    losses = np.array([1.0, 0.0, 1.0, 0.0, 1.0])
    assert by_unit(losses, None).tolist() == losses.tolist()
    assert by_unit(losses, np.array([2, 2, 0, 1, 0])).tolist() == [0.5, 1.0, 0.0]


def binary(y_true: np.ndarray, score: np.ndarray, **changes) -> LabelledPredictions:
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1), **changes)


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.BRIER, Metric.EXPECTED_COST])
def test_unit_losses_are_the_metric_on_another_scale(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    rows = binary(
        rng.integers(0, 2, 200),
        rng.uniform(size=200),
        costs=Costs(false_positive=5, false_negative=20, true_positive=-3),
    )
    found = unit_losses(metric, rows)
    assert found is not None
    each, low, scale = found
    assert (each.min() >= 0, each.max() <= 1) == (True, True)
    mean = low + scale * each.mean()
    assert (1 - mean if metric is Metric.ACCURACY else mean) == pytest.approx(measure(metric, rows))
    assert unit_losses(Metric.ROC_AUC, rows) is None
    same = dataclasses.replace(rows, costs=Costs(false_positive=1, false_negative=1, true_positive=1, true_negative=1))
    assert unit_losses(Metric.EXPECTED_COST, same) is None, "what always costs the same tells nothing"


def told(error: float, *, n: int = 4_000, budget: float | None = 30.0, metric: Metric = Metric.ACCURACY) -> Finding:
    """A window in which all is well, of a model that was right in nine of ten for 30 days and then was not in `error`."""
    rng = np.random.default_rng(3)
    y_true = rng.integers(0, 2, n)
    wrong = rng.uniform(size=n) < np.where(np.arange(n) < n // 2, 0.1, error)
    rows = binary(y_true, np.where(wrong, 1 - y_true, y_true) * 0.8 + 0.1)
    view = quiet_view(1_000)
    assert isinstance(view.observed, Recorded)
    monitors = dataclasses.replace(view.contract.monitors, alarm_budget=AlarmBudget(days=budget) if budget else None)
    contract = dataclasses.replace(view.contract, monitors=monitors, objective=Objective(metric=metric))
    history = History(judged=rows, start=NOON - 30 * DAY, end=NOON)
    known = Interval(estimate=0.9, low=0.89, high=0.91, n=4_000, confidence=0.95)
    view = dataclasses.replace(
        view, contract=contract, observed=dataclasses.replace(view.observed, history=history), baseline_interval=known
    )
    (one,) = Performance(PerformanceMonitor()).evaluate(view)
    return one


def test_labels_in_a_row_tell_what_the_window_cannot() -> None:
    one = told(0.22)
    assert one.outcome is Outcome.ALERT
    assert one.sentence.startswith("Accuracy is worse than promised: 0.7")
    assert (
        "tolerated with its own doubt to 0.840; if it held, labels would look like this at most once in 33 days."
        in one.sentence
    )
    assert abs(one.n - 2_000) < 200
    assert told(0.22, budget=None).outcome is Outcome.OK, "nothing is looked at as one sequence that nobody asked for"
    assert told(0.1).outcome is Outcome.OK
    assert told(0.15).outcome is Outcome.OK, "that much is tolerated"
    assert told(0.22, metric=Metric.ROC_AUC).sentence.startswith("ROC AUC holds"), "which is no mean of losses"


def test_a_longer_budget_stretches_the_windows_too() -> None:
    month = reach(0.95, window=60, every=1)
    assert reach(0.95, window=60, every=1, span=30 * 24 * 60) == month
    assert reach(0.95, window=60, every=1, span=365 * 24 * 60) > month > reach(0.95, window=60, every=1, span=24 * 60)


def test_labels_are_read_in_the_order_of_their_predictions(tmp_path: Path) -> None:
    hour = 3_600 * 10**9
    records = []
    for i in range(60):  # labels come the other way round; those of the last day are not due yet
        records.append(predicted(pid(f"{i}"), at=AT - (60 - i) * hour, score=0.7))
        records.append(label(pid(f"{i}"), int(i >= 20), at=AT - i))
    workspace, mine = journal(tmp_path, *records), watched()
    compact(workspace)
    window = Window(start=NOON - DAY, end=NOON)
    seen = JournalObservations(workspace, Profiler(workspace, book(tmp_path)), mine, window)
    history = seen.history
    assert history is not None
    assert history.judged.y_true.tolist() == [0] * 20 + [1] * 16
    assert (history.start, history.end) == (NOON - 60 * timedelta(hours=1), NOON - 25 * timedelta(hours=1))
    empty = Window(start=NOON - 300 * DAY, end=NOON - 299 * DAY)
    assert JournalObservations(workspace, Profiler(workspace, book(tmp_path)), mine, empty).history is None
