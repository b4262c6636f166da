"""Monitors: every window ends ok, alert or cannot tell, and says why in one sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelmark.domain.catalogue.monitor_settings import DriftMonitor, Monitors, PerformanceMonitor, QualityMonitor
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.contract import Objective
from modelmark.domain.errors import Missing
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors import enabled
from modelmark.monitors.drift import Drift
from modelmark.monitors.monitor import REQUESTS, MonitorContext, Recorded
from modelmark.monitors.performance import Performance
from modelmark.monitors.quality import Quality
from modelmark.stats.metrics import LabelledPredictions
from modelmark.testing.catalogue import check_monitor_row
from modelmark.testing.monitors import check_monitor, cohort_of, empty_view, planted_view, quiet_view, unlabelled_view

DOCS = Path(__file__).parents[2] / "docs"


def seen(view: MonitorContext, **changes: Any) -> MonitorContext:
    """The view with other records behind it."""
    assert isinstance(view.observed, Recorded)
    return dataclasses.replace(view, observed=dataclasses.replace(view.observed, **changes))


@pytest.mark.parametrize("name", MONITORS)
def test_every_built_in_monitor_keeps_the_promises(name: str) -> None:
    check_monitor_row(MONITORS[name], DOCS)
    (monitor,) = (one for one in enabled(Monitors()) if one.name == name)
    check_monitor(monitor, planted=unlabelled_view(unsure=0.8) if name == "estimate" else None)


class Deaf:
    name = "deaf"

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        return [view.finding("deaf", "all", Outcome.OK, "All is well.", n=0, measured=0.0)]


def test_the_kit_catches_a_monitor_that_hears_nothing() -> None:
    with pytest.raises(AssertionError, match="missed the planted change"):
        check_monitor(Deaf())


def test_a_monitor_set_to_null_does_not_run_and_an_unknown_plugin_is_missing() -> None:
    assert [
        m.name for m in enabled(Monitors(quality=None, drift=None, volume=None, estimate=None, calibration=None))
    ] == ["performance"]
    with pytest.raises(Missing):
        enabled(Monitors(plugins={"nobody": {}}))


def by_subject(found: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


def test_quality_names_what_is_wrong_with_which_input() -> None:
    found = by_subject(Quality(QualityMonitor()).evaluate(planted_view()))
    assert found["amount"].sentence.startswith("20.0% of “amount” missing (400 of 2,000 rows; interval ")
    assert found["kind"].sentence.startswith("20.0% of “kind” unseen")
    assert "mostly OUT_OF_RANGE in amount" in found["requests"].sentence
    assert found["requests"].measured == pytest.approx(0.2)
    assert {f.outcome for f in found.values()} == {Outcome.ALERT}


def test_three_bad_rows_of_twenty_are_not_yet_an_alert() -> None:
    view = quiet_view(20)
    counts = dict(view.profiles)
    counts["kind"] = np.array([17, 0, 0, 1, 2])
    found = by_subject(Quality(QualityMonitor()).evaluate(seen(view, profiles=counts)))
    assert found["kind"].outcome is Outcome.OK
    assert found["kind"].measured == pytest.approx(0.1)


def test_refusals_alone_are_told_when_nothing_was_answered() -> None:
    view = seen(empty_view(), refused={("MISSING_INPUT", "kind"): 500}, profiles={REQUESTS: np.array([0])})
    found = by_subject(Quality(QualityMonitor()).evaluate(view))
    assert found["requests"].outcome is Outcome.ALERT
    assert found["kind"].outcome is Outcome.CANNOT_TELL


def test_drift_says_how_many_more_rows_would_tell() -> None:
    found = by_subject(Drift(DriftMonitor(min_rows=200)).evaluate(quiet_view(150)))
    assert found["score"].sentence == "Cannot tell whether the score moved: 150 rows; about 50 more would tell."
    assert set(found) == {"amount", "kind", "score"}


def labelled(n: int, wrong: float, metric: Metric = Metric.ACCURACY, baseline: float | None = 0.9) -> MonitorContext:
    rng = np.random.default_rng(2)
    y_true = np.arange(n) % 2
    said = np.where(np.arange(n) < round(wrong * n), 1 - y_true, y_true)
    score = 0.1 + 0.8 * said + rng.normal(0, 0.01, n)
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.stack([1 - score, score], axis=1))
    view = quiet_view()
    deal = dataclasses.replace(view.contract, objective=Objective(metric=metric))
    return seen(dataclasses.replace(view, contract=deal, baseline=baseline), cohorts=(cohort_of(judged),))


@pytest.mark.parametrize(
    ("view", "outcome", "words"),
    [
        pytest.param(labelled(1000, 0.1), Outcome.OK, "Accuracy holds: 0.900 on 1,000 labels", id="as promised"),
        pytest.param(labelled(1000, 0.3), Outcome.ALERT, "Accuracy is worse than promised: 0.700", id="surely worse"),
        pytest.param(labelled(100, 0.18), Outcome.CANNOT_TELL, "more labels would tell.", id="perhaps worse"),
        pytest.param(
            labelled(20, 0.5),
            Outcome.CANNOT_TELL,
            "20 labels of 20 rows predicted 2026-03-01 12:00 to 2026-03-01 13:00 UTC (100% labelled); about 30 more",
            id="too few",
        ),
        pytest.param(labelled(1000, 0.1, baseline=None), Outcome.CANNOT_TELL, "not known", id="no baseline"),
        pytest.param(labelled(1000, 0.3, Metric.BRIER, 0.02), Outcome.ALERT, "tolerated up to 0.070", id="a loss grew"),
        pytest.param(labelled(1000, 0.0, Metric.BRIER, 0.02), Outcome.OK, "Brier score holds", id="a loss is small"),
    ],
)
def test_performance(view: MonitorContext, outcome: Outcome, words: str) -> None:
    (found,) = Performance(PerformanceMonitor()).evaluate(view)
    assert found.outcome is outcome
    assert words in found.sentence
