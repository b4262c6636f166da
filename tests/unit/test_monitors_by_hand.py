"""Monitors at their limits: what counts, which numbers are told, and from which row on they speak."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from bench.laws.monitors import alerts_a_day, rare_categories_alarm

from builders.domain import contract
from modelmark.domain.catalogue.monitor_settings import DriftMonitor, Monitors, PerformanceMonitor, QualityMonitor
from modelmark.domain.contract import Costs, ModelSource, Objective, Outputs
from modelmark.domain.errors import OF_THE_SERVER, Missing
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors import enabled
from modelmark.monitors.cohort import Cohort, with_labels
from modelmark.monitors.drift import Drift
from modelmark.monitors.labels import labelled_predictions
from modelmark.monitors.monitor import REQUESTS, MonitorContext, Recorded
from modelmark.monitors.performance import Performance
from modelmark.monitors.quality import Quality
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.looks import reach
from modelmark.stats.metrics import LabelledPredictions, statistic
from modelmark.stats.profile import Column
from modelmark.stats.rates import clopper_pearson
from modelmark.testing.monitors import cohort_of, empty_view, quiet_view


def with_records(view: MonitorContext, **changes: Any) -> MonitorContext:
    assert isinstance(view.observed, Recorded)
    return dataclasses.replace(view, observed=dataclasses.replace(view.observed, **changes))


def by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


# Labels of the journal.


def answers(**changes: Any) -> pa.Table:
    """Four labelled rows of a binary model, each with another way of having been answered."""
    usual: dict[str, Any] = {
        "path": ["model", "previous_version", "constant", "review"],
        "score": [0.9, 0.2, 0.9, 0.9],
        "value": [None] * 4,
        "probabilities": [[0.1, 0.9], [0.8, 0.2], [0.1, 0.9], [0.1, 0.9]],
        "label": ["1", "0", "0", "0"],
        "label_value": [1.0, 0.0, 0.0, 0.0],
        "drawn_from": [4] * 4,
        "id": ["a", "b", "c", "d"],
        "row": [0] * 4,
        "micros": [100] * 4,
    }
    return pa.table({**usual, **changes})


def test_what_a_constant_or_a_person_answered_is_not_the_models_doing() -> None:
    found = labelled_predictions(contract(), answers())
    assert found is not None
    assert found.scores.tolist() == [[pytest.approx(0.1), 0.9], [0.8, pytest.approx(0.2)]]
    assert found.y_true.tolist() == [1, 0]
    assert labelled_predictions(contract(), answers(path=["constant"] * 4)) is None
    assert labelled_predictions(contract(), answers().slice(0, 0)) is None


def test_a_binary_version_is_judged_by_its_own_threshold_costs_and_positive_class() -> None:
    costs = Costs(false_positive=1, false_negative=2)
    deal = contract(
        outputs=Outputs(classes=(1, 0), positive=1, threshold=0.3), objective=Objective(metric=Metric.F1, costs=costs)
    )
    found = labelled_predictions(deal, answers(label=["1", "7", "0", "0"]))
    assert found is not None
    assert (found.task, found.positive, found.threshold, found.costs) == (Task.BINARY, 0, 0.3, costs)
    assert (found.y_true.tolist(), found.scores.tolist()) == ([0], [[0.9, pytest.approx(0.1)]])
    assert labelled_predictions(deal, answers(label=["7"] * 4)) is None
    assert labelled_predictions(deal, answers(score=[None, None, 0.5, 0.5])) is None


def test_several_classes_and_values_are_read_as_they_are() -> None:
    three = contract(model=ModelSource(source="m", task=Task.MULTICLASS), outputs=Outputs(classes=("x", "y", "z")))
    several = labelled_predictions(
        three, answers(label=["z", "x", "x", "x"], probabilities=[[0.1, 0.2, 0.7], [0.5, 0.3, 0.2], None, None])
    )
    assert several is not None
    assert (several.task, several.y_true.tolist()) == (Task.MULTICLASS, [2, 0])
    assert several.scores.tolist() == [[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]]
    number = contract(model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs())
    values = labelled_predictions(number, answers(value=[2.5, None, 9.0, 9.0], label_value=[3.0, 1.0, 0.0, 0.0]))
    assert values is not None
    assert (values.task, values.y_true.tolist(), values.scores.tolist()) == (Task.REGRESSION, [3.0], [[2.5]])
    assert labelled_predictions(number, answers(value=[2.5, None, 9.0, 9.0], label_value=[None, 1.0, 0, 0])) is None


# Drift.


@pytest.mark.parametrize(("rows", "outcome"), [(199, Outcome.CANNOT_TELL), (200, Outcome.OK)])
def test_drift_speaks_from_its_least_rows_on(rows: int, outcome: Outcome) -> None:
    found = by_subject(Drift(DriftMonitor()).evaluate(quiet_view(rows)))
    assert {one.outcome for one in found.values()} == {outcome}
    score = found["score"]
    assert (score.n, score.limit, score.monitor) == (rows, 0.1, "drift")
    if outcome is Outcome.OK:
        assert score.measured is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.measured <= score.high
        assert score.sentence == (
            f"The score looks like the reference: Jensen-Shannon distance {score.measured:.2f} "
            f"(95% interval {score.low:.2f} to {score.high:.2f}; 200 rows beside 20,000 holdout rows); tolerated up to 0.1."
        )
    else:
        assert "about 1 more would tell" in score.sentence


def test_a_column_without_traffic_or_without_a_reference_cannot_be_told() -> None:
    view = quiet_view(300)
    profiles = {name: counts for name, counts in view.profiles.items() if name != "kind"}
    found = by_subject(Drift(DriftMonitor()).evaluate(with_records(view, profiles=profiles)))
    assert found["kind"].outcome is Outcome.CANNOT_TELL
    assert found["kind"].sentence == "Cannot tell whether “kind” moved: 0 rows; about 200 more would tell."
    columns = dict(view.reference.columns)
    columns["kind"] = dataclasses.replace(columns["kind"], counts=np.zeros_like(columns["kind"].counts))
    bare = dataclasses.replace(view, reference=dataclasses.replace(view.reference, columns=columns))
    unknown = by_subject(Drift(DriftMonitor()).evaluate(bare))["kind"]
    assert (unknown.outcome, unknown.n) == (Outcome.CANNOT_TELL, 300)
    assert "about 1 more" in unknown.sentence


def test_the_false_alarm_rate_of_the_contract_is_the_one_that_is_kept() -> None:
    """A tolerance of 0 and one alarm in two: of eight quiet windows of three columns several alarm; at one in a million none."""
    alarms = {
        rate: sum(
            any(f.outcome is Outcome.ALERT for f in Drift(settings).evaluate(quiet_view(300, seed)))
            for seed in range(8)
        )
        for rate in (0.5, 1e-6)
        for settings in (DriftMonitor(tolerance=-0.1, false_alarm_rate=rate),)
    }
    assert alarms[0.5] >= 2
    assert alarms[1e-6] == 0


# Quality.


def test_quality_divides_its_doubt_over_two_shares_of_every_input_and_the_refusals() -> None:
    """Two inputs make five questions, each one-sided at 0.01 / 5."""
    view = quiet_view(100)
    counts = dict(view.profiles)
    counts["kind"] = np.array([80, 10, 0, 4, 6])
    found = by_subject(Quality(QualityMonitor()).evaluate(with_records(view, profiles=counts, refused={("A", ""): 25})))
    confidence = 1 - 2 * 0.01 / 5
    kind, requests = found["kind"], found["requests"]
    assert (kind.low, kind.high) == pytest.approx(clopper_pearson(6, 100, confidence))
    assert (kind.n, kind.measured, kind.limit) == (100, 0.06, 0.02)
    assert kind.sentence.startswith("6.0% of “kind” missing (6 of 100 rows; interval ")
    assert kind.sentence.endswith("; at training time 0.0%, tolerated up to 2.0%.")
    assert (requests.low, requests.high) == pytest.approx(clopper_pearson(25, 125, confidence))
    assert (requests.n, requests.measured, requests.limit) == (125, 0.2, 0.02)
    assert ", mostly A; tolerated up to 2.0%." in requests.sentence


@pytest.mark.parametrize(
    ("n", "hits", "outcome"),
    [
        (1, 1, Outcome.CANNOT_TELL),  # Wilson's lower end alone is 0.09, and tolerated is 0.02
        (9, 9, Outcome.CANNOT_TELL),
        (10, 1, Outcome.OK),
        (10, 2, Outcome.OK),  # Wilson's lower end is 0.035, the exact one 0.007
        (10, 4, Outcome.ALERT),
        (10, 10, Outcome.ALERT),
    ],
)
def test_a_handful_of_rows_is_no_alert_until_it_is_sure(n: int, hits: int, outcome: Outcome) -> None:
    view = quiet_view(100)
    counts = {name: np.zeros_like(c) for name, c in view.profiles.items()}
    counts["kind"] = np.array([n - hits, 0, 0, 0, hits])
    counts[REQUESTS] = np.array([n - hits])
    found = by_subject(
        Quality(QualityMonitor()).evaluate(with_records(view, profiles=counts, refused={("A", ""): hits}))
    )
    assert {found[name].outcome for name in ("kind", "requests")} == {outcome}
    assert found["kind"].n == found["requests"].n == n
    if n < 10:
        assert f"{n} rows; about {10 - n} more would tell." in found["kind"].sentence
        assert f"{n} requests; about {10 - n} more would tell." in found["requests"].sentence


def test_little_traffic_raises_no_alert_a_day() -> None:
    """The law of bench/laws/monitors.py, short: by Wilson's interval two rows an hour raised 0.8 a day."""
    assert alerts_a_day(10, 0.02, 5000) <= 0.05
    assert alerts_a_day(2, 0.04, 5000) <= 0.05


def test_values_that_were_rare_in_training_go_on_being_new() -> None:
    """The law of bench/laws/monitors.py, short: where the reference gives the unseen nothing, eight in ten alarm."""
    assert sum(rare_categories_alarm(seed) for seed in range(12)) == 0
    assert sum(rare_categories_alarm(seed, trained=300) for seed in range(12)) <= 2
    assert sum(rare_categories_alarm(seed, new=0.15) for seed in range(4)) == 4


def test_as_many_new_values_are_expected_as_came_but_once() -> None:
    """Good 1953: of 100 rows 4 had a value of their own, so 4% of the next have one that nobody has seen."""
    column = Column("k", False, np.array([90, 1, 1, 1, 1, 0, 6]), np.zeros(0), tuple("abcdef"[:5]), closed=True)
    assert column.unseen() == pytest.approx(0.04)
    assert column.unseen(2.0) == pytest.approx(0.08)
    for new, expected in ((0, 0.0), (2, 2.0), (4, 4.0), (7, 7.0), (30, 8.0)):  # 4, and two standard errors of 2
        usual, here = column.compared(np.array([94 - new, 0, 0, 0, 0, new, 6]))
        known = 1 - expected / 94  # what is left for those that were there
        assert usual == pytest.approx([90 * known, 6, 4 * known + expected]), "once seen and never seen are one bin"
        assert here.tolist() == [94 - new, 6, new]
    assert column.compared(np.zeros(7, dtype=np.int64))[0].tolist() == [90, 1, 1, 1, 1, 0, 6]
    view = quiet_view(100)
    held = dataclasses.replace(
        view.reference, columns={**view.reference.columns, "kind": dataclasses.replace(column, name="kind")}
    )
    counts = {**view.profiles, "kind": np.array([82, 0, 0, 0, 0, 12, 6])}
    view = with_records(dataclasses.replace(view, reference=held), profiles=counts)
    kind = by_subject(Quality(QualityMonitor()).evaluate(view))["kind"]
    assert (kind.measured, kind.limit) == (0.12, pytest.approx(0.08 + 0.02))
    assert kind.sentence.endswith("; at training time 4.0%, tolerated up to 10.0%.")
    numbers = Column("n", True, np.array([1, 1, 98, 0, 0]), np.array([1.0, 2.0]))
    assert numbers.unseen() == 0, "a number that came once is not a kind of its own"


def test_a_share_is_compared_with_the_one_at_training_time() -> None:
    view = quiet_view(1000)
    columns = dict(view.reference.columns)
    columns["kind"] = dataclasses.replace(columns["kind"], counts=np.array([60, 0, 0, 0, 40]))
    view = dataclasses.replace(view, reference=dataclasses.replace(view.reference, columns=columns))
    counts = {**view.profiles, "kind": np.array([570, 0, 0, 10, 420])}
    kind = by_subject(Quality(QualityMonitor()).evaluate(with_records(view, profiles=counts)))["kind"]
    assert (kind.outcome, kind.measured, kind.limit) == (Outcome.OK, 0.42, pytest.approx(0.42))
    risen = {**counts, "kind": np.array([550, 0, 0, 40, 410])}  # 4 of 100 are new; of those missing only 1 more
    worse = by_subject(Quality(QualityMonitor()).evaluate(with_records(view, profiles=risen)))["kind"]
    assert (worse.measured, worse.limit) == (0.04, 0.02)
    bare = dataclasses.replace(columns["kind"], counts=np.zeros(5, dtype=np.int64))
    empty = dataclasses.replace(view, reference=dataclasses.replace(view.reference, columns={**columns, "kind": bare}))
    none = by_subject(Quality(QualityMonitor()).evaluate(with_records(empty, profiles=counts)))["kind"]
    assert none.limit == 0.02


@pytest.mark.parametrize("code", sorted(OF_THE_SERVER))
def test_what_the_server_could_not_do_is_no_fault_of_the_callers_data(code: str) -> None:
    view = with_records(quiet_view(100), refused={(code, ""): 400, ("OUT_OF_RANGE", "x"): 1})
    requests = by_subject(Quality(QualityMonitor()).evaluate(view))["requests"]
    assert (requests.n, requests.measured, requests.outcome) == (101, 1 / 101, Outcome.OK)
    assert "mostly OUT_OF_RANGE in x" in requests.sentence


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.0, Outcome.ALERT), (0.5, Outcome.OK)])
def test_an_alert_is_surely_above_what_is_tolerated(tolerance: float, outcome: Outcome) -> None:
    view = with_records(quiet_view(100), refused={("A", "x"): 50, ("B", "y"): 10})
    requests = by_subject(Quality(QualityMonitor(tolerance=tolerance)).evaluate(view))["requests"]
    assert requests.outcome is outcome
    assert "mostly A in x" in requests.sentence
    quiet = by_subject(Quality(QualityMonitor(tolerance=0.0)).evaluate(quiet_view(100)))["requests"]
    assert (quiet.outcome, quiet.low, quiet.measured) == (Outcome.OK, 0, 0)  # not above the limit, but on it
    assert "mostly" not in quiet.sentence


def test_numbers_out_of_range_and_free_texts_unseen_are_two_things() -> None:
    view = quiet_view(100)
    counts = dict(view.profiles)
    amount = counts["amount"].copy()
    amount[-1] = 30
    counts["amount"] = amount
    counts["kind"] = np.array([10, 0, 0, 90, 0])
    found = by_subject(Quality(QualityMonitor()).evaluate(with_records(view, profiles=counts)))
    assert found["amount"].sentence.startswith("30.0% of “amount” out of range (30 of 100 rows")
    assert found["kind"].sentence.startswith("90.0% of “kind” unseen")
    columns = dict(view.reference.columns)
    columns["kind"] = dataclasses.replace(columns["kind"], closed=False)
    free = dataclasses.replace(view, reference=dataclasses.replace(view.reference, columns=columns))
    kind = by_subject(Quality(QualityMonitor()).evaluate(with_records(free, profiles=counts)))["kind"]
    assert (kind.outcome, kind.measured) == (Outcome.OK, 0)


def test_an_empty_window_says_so_of_every_subject() -> None:
    found = by_subject(Quality(QualityMonitor()).evaluate(empty_view()))
    assert list(found) == ["amount", "kind", "requests"]
    assert {(one.outcome, one.n) for one in found.values()} == {(Outcome.CANNOT_TELL, 0)}
    assert found["requests"].limit == 0.02
    zeros = {"amount": np.zeros_like(quiet_view(9).profiles["amount"]), REQUESTS: np.array([0])}
    assert by_subject(Quality(QualityMonitor()).evaluate(with_records(empty_view(), profiles=zeros)))["amount"].n == 0
    assert (empty_view().rows, empty_view().requests, quiet_view(9).rows, quiet_view(9).requests) == (0, 0, 9, 9)


# Performance.


def labelled(n: int, metric: Metric = Metric.ACCURACY, baseline: float | None = 0.9) -> MonitorContext:
    y_true = np.arange(n) % 2
    score = np.where(np.arange(n) % 10 == 0, 1 - y_true, y_true) * 0.8 + 0.1
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1))
    view = quiet_view(10)
    deal = dataclasses.replace(view.contract, objective=Objective(metric=metric))
    return with_records(dataclasses.replace(view, contract=deal, baseline=baseline), cohorts=(cohort_of(judged),))


WHOLE = labelled(100).cohorts[0]


@pytest.mark.parametrize(("labels", "outcome"), [(49, Outcome.CANNOT_TELL), (50, Outcome.OK)])
def test_performance_speaks_from_its_least_labels_on(labels: int, outcome: Outcome) -> None:
    (found,) = Performance(PerformanceMonitor()).evaluate(labelled(labels, baseline=0.85))
    assert (found.outcome, found.n, found.subject) == (outcome, labels, "accuracy")
    if outcome is Outcome.CANNOT_TELL:
        assert "about 1 more would tell" in found.sentence


def test_performance_tells_the_interval_of_the_contracts_confidence() -> None:
    view = labelled(200)
    assert view.labelled is not None
    for confidence in (0.95, 0.6):
        (found,) = Performance(PerformanceMonitor(confidence=confidence)).evaluate(view)
        theirs = interval(statistic(Metric.ACCURACY, view.labelled), 200, confidence=confidence, times=400)
        assert (found.measured, found.low, found.high) == (theirs.estimate, theirs.low, theirs.high)
        assert found.limit == pytest.approx(0.85)
        assert f"({confidence:.0%} interval" in found.sentence
        assert found.sentence.endswith("; holdout 0.900, tolerated down to 0.850.")


#: Of a look a minute at an hour: how much further than at one look.
REACH = reach(0.95, window=60, every=1)


def test_a_month_of_looks_reaches_as_far_as_its_windows_ask() -> None:
    """720 hours, each looked at as often as sixteen, and half as many again for wider ones: one in 921,600 instead of one in 40."""
    assert pytest.approx(NormalDist().inv_cdf(1 - 0.025 / (720 * 16 * 2)) / NormalDist().inv_cdf(0.975)) == REACH
    assert 2.4 < REACH < 2.5
    assert reach(0.95, window=60, every=60) == pytest.approx(
        NormalDist().inv_cdf(1 - 0.025 / 1440) / 1.959964, abs=1e-6
    )
    assert reach(0.95, window=60, every=0.1) == REACH, "looks at nearly the same are no more looks"
    assert reach(0.95, window=90 * 1440, every=90 * 1440) > 1, "two at least: a longer one may come"


@pytest.mark.parametrize(
    ("estimate", "off", "outcome"),
    [
        pytest.param(0.75, 0.099, Outcome.ALERT, id="the better end below"),
        pytest.param(0.8, 0.0501, Outcome.CANNOT_TELL, id="the better end on it"),
        pytest.param(0.849, 0.051, Outcome.CANNOT_TELL, id="the estimate below"),
        pytest.param(0.85, 0.05, Outcome.OK, id="the estimate on it"),
    ],
)
def test_the_line_between_alert_doubt_and_ok(estimate: float, off: float, outcome: Outcome) -> None:
    """With a holdout of 0.875 and a tolerance of 0.025; and turned round for a loss. off: of the ends over all looks of a month."""
    low, high = estimate - off / REACH, estimate + off / REACH
    seen = Interval(estimate=estimate, low=low, high=high, n=100, confidence=0.95)
    settings = PerformanceMonitor(tolerance=0.025)
    up = Performance(settings)._finding(labelled(100), seen, 0.875, WHOLE)
    assert up.outcome is outcome
    turned = Interval(estimate=1 - estimate, low=1 - high, high=1 - low, n=100, confidence=0.95)
    limit = Performance(settings)._finding(labelled(100, Metric.BRIER), turned, 0.125, WHOLE)
    assert limit.limit == pytest.approx(0.15)
    if estimate != 0.85:  # 1 - 0.85 is no float
        assert limit.outcome is outcome


def test_labels_that_would_tell_go_with_the_square_of_the_width() -> None:
    """Over all looks half a width of 0.1 and a gap of 0.05: four times as many, so three times as many more."""
    seen = Interval(estimate=0.8, low=0.8 - 0.1 / REACH, high=0.8 + 0.1 / REACH, n=100, confidence=0.95)
    found = Performance(PerformanceMonitor(tolerance=0.0))._finding(labelled(100), seen, 0.85, WHOLE)
    assert "; about 300 more labels would tell." in found.sentence or "; about 301 more labels" in found.sentence
    near = dataclasses.replace(seen, high=0.8 + 0.0500001 / REACH, low=0.8 - 0.0500001 / REACH)
    assert (
        "; about 1 more labels"
        in Performance(PerformanceMonitor(tolerance=0.0))._finding(labelled(100), near, 0.85, WHOLE).sentence
    )


def of_classes(negatives: int, positives: int, wrong: int = 0) -> LabelledPredictions:
    """Scores that tell the classes apart but for so many negatives, which rank above every positive."""
    y_true = np.r_[np.zeros(negatives, dtype=np.int64), np.ones(positives, dtype=np.int64)]
    score = np.r_[np.full(wrong, 0.9), np.linspace(0.1, 0.4, negatives - wrong), np.linspace(0.5, 0.8, positives)]
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1))


def judge(judged: LabelledPredictions, view: MonitorContext, **settings: Any) -> Finding:
    seen = with_records(view, cohorts=(cohort_of(judged),))
    (found,) = Performance(PerformanceMonitor(**settings)).evaluate(seen)
    return found


@pytest.mark.parametrize(
    ("negatives", "positives", "words"),
    [
        pytest.param(0, 8000, "none of them is “0”, and only labels of that class would tell.", id="a class is missing"),
        pytest.param(5, 495, "only 5 of them are “0”; about 500 more labels would tell.", id="five of one class"),
        pytest.param(1, 99, "only 1 of them is “0”; about 900 more labels would tell.", id="one of it"),
        pytest.param(9, 91, "only 9 of them are “0”", id="nine"),
    ],
)  # fmt: skip
def test_an_auc_is_judged_by_how_many_rows_the_rarer_class_has(negatives: int, positives: int, words: str) -> None:
    """Three of five negatives above every positive are an AUC of 0.4, and luck."""
    found = judge(of_classes(negatives, positives, wrong=min(negatives, 3)), labelled(100, Metric.ROC_AUC, 0.9))
    assert (found.outcome, found.n) == (Outcome.CANNOT_TELL, negatives + positives)
    assert words in found.sentence
    enough = judge(of_classes(40, 460, wrong=24), labelled(100, Metric.ROC_AUC, 0.9))
    assert enough.outcome is Outcome.ALERT
    (none,) = Performance(PerformanceMonitor()).evaluate(with_records(labelled(100, Metric.ROC_AUC), cohorts=()))
    assert (none.outcome, none.n) == (Outcome.CANNOT_TELL, 0)


def test_nothing_wrong_among_few_is_not_certainty() -> None:
    """0 of 90: the exact interval, not one without any width, which would be sure of the impossible."""
    none = judge(of_classes(45, 45), labelled(100, baseline=0.99))
    assert (none.measured, none.high, none.low) == (1, 1, pytest.approx(clopper_pearson(90, 90)[0]))
    every = judge(of_classes(45, 45), labelled(100, Metric.RECALL, 0.99))
    assert every.low == pytest.approx(clopper_pearson(45, 45)[0])


def of_values(error: float, rows: int = 400, quantile: float = 0.5) -> LabelledPredictions:
    rng = np.random.default_rng(0)
    y_true = rng.normal(1000, 30, rows)
    off = np.where(np.arange(rows) % 2 == 0, error, -error)
    return LabelledPredictions(
        task=Task.REGRESSION, y_true=y_true, scores=(y_true + off).reshape(-1, 1), quantile=quantile
    )


@pytest.mark.parametrize(("error", "outcome"), [(23.9, Outcome.OK), (26, Outcome.ALERT)])
def test_a_loss_in_units_of_the_target_is_tolerated_by_a_share_of_itself(error: float, outcome: Outcome) -> None:
    found = judge(of_values(error), labelled(100, Metric.RMSE, 22.868))
    assert (found.outcome, found.limit) == (outcome, pytest.approx(1.05 * 22.868))
    assert "holdout 22.868, tolerated up to 24.011" in found.sentence


def test_pinball_is_judged_live_at_the_contracts_quantile() -> None:
    deal = contract(
        model=ModelSource(source="m", task=Task.REGRESSION), outputs=Outputs(),
        objective=Objective(metric=Metric.PINBALL, quantile=0.9),
    )  # fmt: skip
    found = labelled_predictions(deal, answers(value=[2.0, 2.0, 9.0, 9.0], label_value=[3.0, 1.0, 0.0, 0.0]))
    assert found is not None
    assert statistic(Metric.PINBALL, found)(np.ones(2)) == pytest.approx((0.9 + 0.1) / 2)
    assert statistic(Metric.PINBALL, found)(np.array([1.0, 0.0])) == pytest.approx(0.9)


@pytest.mark.parametrize(("rows", "outcome"), [(150, Outcome.CANNOT_TELL), (15_000, Outcome.ALERT)])
def test_the_holdouts_figure_is_as_sure_as_its_rows(rows: int, outcome: Outcome) -> None:
    """Live 0.80 of 2,000 where 0.90 was measured: 0.85 is surely not kept, but the holdout itself may have been 0.86."""
    low, high = clopper_pearson(round(0.9 * rows), rows)
    known = Interval(estimate=0.9, low=low, high=high, n=rows, confidence=0.95)
    view = dataclasses.replace(labelled(100), baseline_interval=known)
    found = judge(of_classes(1000, 1000, wrong=400), view)
    assert (found.measured, found.limit, found.outcome) == (0.8, pytest.approx(0.85), outcome)
    assert f"holdout 0.900 ({low:.3f} to {high:.3f} on {rows:,} rows), tolerated down to 0.850" in found.sentence
    if outcome is Outcome.CANNOT_TELL:
        assert found.sentence.endswith("; the holdout's own figure is too unsure for labels to tell.")
    assert judge(of_classes(1000, 1000, wrong=400), labelled(100)).outcome is Outcome.ALERT, "as if it were known"


def test_rows_of_one_request_count_as_fewer() -> None:
    """Twenty requests of twenty rows, five of which came out all wrong: 0.75 of 400 rows, but of twenty requests."""
    found = labelled_predictions(contract(), answers(path=["model"] * 4, id=["a", "a", "b", "b"]))
    assert found is not None
    assert found.units is not None
    assert found.units.tolist() == [0, 0, 1, 1]
    alone = labelled_predictions(contract(), answers(path=["model"] * 4))
    assert alone is not None
    assert alone.units is None
    rows = of_classes(200, 200, wrong=100)
    assert judge(rows, labelled(100)).outcome is Outcome.ALERT
    together = dataclasses.replace(rows, units=np.arange(400) // 20)
    assert judge(together, labelled(100)).outcome is Outcome.CANNOT_TELL


def cohort(labels: int, rows: int, hours: float, *, old: bool = True, wrong: float = 0.1, ago: float = 0) -> Cohort:
    """Rows of the last `hours`, so many of them labelled, of which a share was answered wrongly, spread evenly."""
    y_true = np.arange(labels) % 2
    score = np.where(np.arange(labels) % round(1 / wrong) == 0, 1 - y_true, y_true) * 0.8 + 0.1
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1))
    end = quiet_view(10).now - timedelta(hours=ago)
    window = Window(start=end - timedelta(hours=hours), end=end)
    return Cohort(window=window, rows=rows, labels=labels, old=old, read=lambda: judged)


@pytest.mark.parametrize(
    ("cohorts", "chosen"),
    [
        pytest.param([cohort(49, 49, 1), cohort(60, 60, 2)], [60], id="the narrowest with enough"),
        pytest.param([cohort(50, 50, 1), cohort(199, 199, 2), cohort(200, 200, 4)], [50, 200], id="then four times as many"),
        pytest.param([cohort(60, 100, 1, old=False), cohort(55, 99, 1, ago=24)], [55], id="mature before early"),
        pytest.param([cohort(80, 100, 1, old=False), cohort(55, 99, 1, ago=24)], [80], id="nearly all came at once"),
        pytest.param([cohort(79, 100, 1, old=False), cohort(55, 99, 1, ago=24)], [55], id="not quite nearly all"),
        pytest.param(
            [cohort(9, 60, 1, old=False), cohort(850, 1000, 128, old=False), cohort(55, 60, 1, ago=24)],
            [55, 850],
            id="an hour of yesterday before a week that is labelled but for today",
        ),
        pytest.param([cohort(9, 9, 1), cohort(60, 90, 2, old=False)], [60], id="early where there is nothing else"),
        pytest.param([cohort(9, 9, 1)], [], id="too few at all"),
    ],
)  # fmt: skip
def test_the_narrowest_mature_cohort_with_enough_labels_is_judged_first(
    cohorts: list[Cohort], chosen: list[int]
) -> None:
    assert [one.labels for one in with_labels(cohorts, 50)] == chosen


def test_performance_widens_until_it_can_tell_and_says_what_was_judged() -> None:
    """A sixth of the answers are wrong: 50 labels cannot tell that from the tolerated 0.15, 800 can."""
    view = with_records(labelled(100), cohorts=(cohort(60, 64, 1, wrong=0.25), cohort(960, 1000, 16, wrong=0.25)))
    (found,) = Performance(PerformanceMonitor()).evaluate(view)
    assert (found.outcome, found.n) == (Outcome.ALERT, 960)
    assert "(95% interval" in found.sentence
    assert found.sentence.endswith("; sure over all looks of a month.")
    assert "of 1,000 rows predicted 2026-02-28 21:00 to 2026-03-01 13:00 UTC (96% labelled)" in found.sentence
    (narrow,) = Performance(PerformanceMonitor()).evaluate(with_records(view, cohorts=view.cohorts[:1]))
    assert narrow.outcome is Outcome.CANNOT_TELL
    steady = with_records(view, cohorts=(cohort(60, 64, 1), cohort(960, 1000, 16, wrong=0.25)))
    (kept,) = Performance(PerformanceMonitor()).evaluate(steady)
    assert (kept.outcome, kept.n) == (Outcome.OK, 60), "what can tell is not widened"


def test_labels_that_came_first_are_judged_with_a_word_of_care() -> None:
    view = with_records(labelled(100), cohorts=(cohort(400, 1000, 1, old=False, wrong=0.5),))
    (found,) = Performance(PerformanceMonitor()).evaluate(view)
    assert found.outcome is Outcome.ALERT
    assert "(40% labelled)" in found.sentence
    assert found.sentence.endswith("those that come first need not be typical.")


def test_monitors_come_in_the_catalogues_order_with_the_contracts_settings() -> None:
    found = enabled(Monitors(drift=DriftMonitor(min_rows=7), quality=None))
    assert [one.name for one in found] == ["drift", "performance", "volume", "estimate", "calibration"]
    drift = found[0]
    assert isinstance(drift, Drift)
    assert by_subject(drift.evaluate(quiet_view(7)))["score"].outcome is not Outcome.CANNOT_TELL
    with pytest.raises(Missing) as caught:
        enabled(Monitors(plugins={"nobody": {}}))
    assert (caught.value.code, caught.value.field) == ("NO_MONITOR", "monitors.plugins.nobody")
