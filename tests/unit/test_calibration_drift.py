"""Calibration drift: scores that no longer mean what they did, on labels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from bench.laws.estimate import World, calibration

from modelmark.domain.catalogue.monitor_settings import CalibrationMonitor
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors.calibration import Calibrated
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.stats.metrics import LabelledPredictions
from modelmark.stats.watching.without_labels import holdout_scores
from modelmark.testing.monitors import cohort_of, empty_view, quiet_view


def only(view: MonitorContext, settings: CalibrationMonitor = CalibrationMonitor()) -> Finding:
    (found,) = Calibrated(settings).evaluate(view)
    return found


def test_the_law_in_short() -> None:
    """bench/laws/estimate.py."""
    for world in (World(), World(mixed=0.5)):
        assert Outcome.ALERT not in [calibration(world, seed).outcome for seed in range(20)]
    assert [calibration(World(risen=0.5), seed).outcome for seed in range(10)].count(Outcome.ALERT) >= 9
    assert calibration(World(risen=0.2), 0).outcome is Outcome.CANNOT_TELL, "not yet sure over all looks"


def test_a_finding_says_what_came_and_what_was_to_be_expected() -> None:
    one = calibration(World(risen=0.5), 0)
    assert one.sentence.startswith("Scores no longer mean what they did: “1” came in 7")
    assert "of 500 labels where the holdout's rows of these scores had 5" in one.sentence
    assert (one.subject, one.limit, one.n) == ("probabilities", 0.05, 500)


def classes(rng: np.random.Generator, n: int, right: float) -> LabelledPredictions:
    said = rng.integers(0, 3, n)
    truth = np.where(rng.uniform(size=n) < right, said, (said + 1) % 3)
    scores = np.full((n, 3), 0.1)
    scores[np.arange(n), said] = 0.8
    return LabelledPredictions(task=Task.MULTICLASS, y_true=truth, scores=scores, positive=0)


@pytest.mark.parametrize(("right", "outcome"), [(0.8, Outcome.OK), (0.4, Outcome.ALERT)])
def test_of_several_classes_it_is_the_one_decided_for(right: float, outcome: Outcome) -> None:
    rng, view = np.random.default_rng(0), quiet_view(10)
    known = holdout_scores(Metric.ACCURACY, classes(rng, 2_000, 0.8))
    model = dataclasses.replace(view.contract.model, task=Task.MULTICLASS)
    seen = Recorded(profiles={}, refused={}, cohorts=[cohort_of(classes(rng, 2_000, right))])
    contract = dataclasses.replace(view.contract, model=model)
    one = only(
        dataclasses.replace(
            view, contract=contract, reference=dataclasses.replace(view.reference, holdout=known), observed=seen
        )
    )
    assert one.outcome is outcome
    assert "The class decided for came in" in one.sentence


def test_what_it_cannot_tell() -> None:
    assert only(empty_view()).sentence == (
        "Cannot tell whether scores mean what they did: 0 labels; about 100 more would tell."
    )
    view = quiet_view(200)
    old = dataclasses.replace(view, reference=dataclasses.replace(view.reference, holdout=None))
    assert only(old).outcome is Outcome.CANNOT_TELL
    numbers = dataclasses.replace(view.contract.model, task=Task.REGRESSION)
    contract = dataclasses.replace(view.contract, model=numbers)
    assert "a number is no probability" in only(dataclasses.replace(view, contract=contract)).sentence
    assert only(view, CalibrationMonitor(min_labels=201)).outcome is Outcome.CANNOT_TELL
