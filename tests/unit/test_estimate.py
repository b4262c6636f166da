"""Performance without labels: published numbers, laws, and what is greyed out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from bench.laws.estimate import World, look, miss, numbers

from builders.domain import NOON, contract
from builders.journal import journal, predicted
from builders.steward import steward
from modelmark.app.training import describe
from modelmark.domain.catalogue.monitor_settings import EstimateMonitor
from modelmark.domain.contract import Costs
from modelmark.domain.errors import Tampered
from modelmark.domain.finding import Outcome
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors.estimate import Estimated
from modelmark.monitors.monitor import Recorded
from modelmark.stats.metrics import LabelledPredictions, measure
from modelmark.stats.profile import Reference
from modelmark.stats.watching.without_labels import (
    Curve,
    disagreement,
    estimate,
    expected,
    holdout_scores,
    support,
)
from modelmark.testing.monitors import empty_view, quiet_view, unlabelled_view

SCORES = np.arange(101) / 100
KNOWN = json.loads((Path(__file__).parents[1] / "golden" / "cbpe.json").read_text())
#: Of nannyml's own tests (tests/performance_estimation/CBPE/test_cbpe_metrics.py), for analysis rows [0:20000] and [20000:50000].
PUBLISHED = {
    Metric.F1: (0.9479079222515973, 0.9278089207836576),
    Metric.PRECISION: (0.9436121782324026, 0.9197836255005452),
    Metric.RECALL: (0.9522429574319092, 0.9359754933378336),
    Metric.ACCURACY: (0.9478536003143163, 0.9245926106862006),
    Metric.ROC_AUC: (0.9711057564966745, 0.9636286015592977),
    Metric.AVERAGE_PRECISION: (0.9629778663941202, 0.9576117462271682),
}
#: Ties of scores count half here, and average precision has no interpolation.
WITHIN = {Metric.ROC_AUC: 4e-6, Metric.AVERAGE_PRECISION: 6e-4}


def published(metric: Metric, which: str, costs: Costs | None = None) -> float:
    n, came = (np.array(KNOWN[name], dtype=np.float64) for name in ("reference", "came"))
    there = n > 0
    curve = Curve(SCORES[there], n[there], came[there], came[there])
    rows = LabelledPredictions(
        task=Task.BINARY, y_true=np.zeros(101, dtype=np.int64), scores=np.stack([1 - SCORES, SCORES], axis=1),
        threshold=0.48, costs=costs,
    )  # fmt: skip
    return expected(metric, rows, [curve], np.array(KNOWN[which], dtype=np.float64))


@pytest.mark.parametrize("metric", PUBLISHED)
def test_published_estimates_are_reproduced(metric: Metric) -> None:
    for which, value in zip(("first", "second"), PUBLISHED[metric], strict=True):
        assert published(metric, which) == pytest.approx(value, abs=WITHIN.get(metric, 1e-12))


def test_published_counts_specificity_and_value_are_reproduced() -> None:
    for which, rows, tp, specificity, value in (
        ("first", 20_000, 9488.96406430504, 0.9434949869571513, 106231.75626835103),
        ("second", 30_000, 14537.180201036117, 0.9123732942949082, 155489.88045014057),
    ):
        cell = {
            name: rows
            * published(Metric.EXPECTED_COST, which, Costs(**{"false_positive": 0, "false_negative": 0, name: 1}))
            for name in ("true_positive", "true_negative", "false_positive", "false_negative")
        }
        assert cell["true_positive"] == pytest.approx(tp, rel=1e-12)
        assert cell["true_negative"] / (cell["true_negative"] + cell["false_positive"]) == pytest.approx(specificity)
        worth = Costs(true_negative=2, false_positive=-5, false_negative=-10, true_positive=10)
        assert rows * published(Metric.EXPECTED_COST, which, worth) == pytest.approx(value, rel=1e-12)


def test_the_law_in_short() -> None:
    """bench/laws/estimate.py."""
    found = [miss(Metric.ACCURACY, World(mixed=0.5), seed, holdout=3_000, rows=2_000) for seed in range(8)]
    assert sum(missed for missed, _ in found) <= 3
    assert max(abs(error) for _, error in found) < 0.04
    assert [look(Metric.ACCURACY, World(), seed).outcome for seed in range(5)] == [Outcome.OK] * 5
    assert [look(Metric.ACCURACY, World(mixed=0.5), seed).outcome for seed in range(5)] == [Outcome.ALERT] * 5


def test_what_labels_deny_is_greyed_out() -> None:
    one = look(Metric.ACCURACY, World(turned=0.3), 0, labels=500)
    assert (one.outcome, one.measured) == (Outcome.CANNOT_TELL, None)
    assert "worse than their scores said, so scores no longer mean what they did" in one.sentence
    assert "It would have been 0.8" in one.sentence
    assert look(Metric.ACCURACY, World(mixed=0.5), 0, labels=500).outcome is Outcome.ALERT, (
        "labels that agree grey nothing"
    )


def test_losses_of_numbers_are_those_of_answers_of_their_size() -> None:
    rng = np.random.default_rng(0)
    for metric in (Metric.MAE, Metric.RMSE, Metric.PINBALL):
        known = holdout_scores(metric, numbers(rng, 5_000))
        assert known is not None
        found = estimate(metric, numbers(rng, 5_000, level=3), known, 0.95)
        truth = measure(metric, numbers(rng, 200_000, level=3))
        assert found.expected.estimate == pytest.approx(truth, rel=0.08)
        assert found.worse.low > 0, "larger answers have larger errors"
        noisy = numbers(rng, 2_000)
        noisy = dataclasses.replace(noisy, y_true=noisy.y_true + rng.normal(size=2_000) * 3)
        assert disagreement(metric, noisy, known, 0.99).low > 0
        assert abs(disagreement(metric, numbers(rng, 2_000), known, 0.99).estimate) < 0.1
    assert holdout_scores(Metric.R2, numbers(rng, 100)) is None


def three(rng: np.random.Generator, n: int, mixed: float = 0.0) -> LabelledPredictions:
    p = rng.dirichlet([0.3 + mixed] * 3, n)
    came = (rng.uniform(size=(n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1).astype(np.int64)
    raw = np.sqrt(p)
    return LabelledPredictions(
        task=Task.MULTICLASS, y_true=came, scores=raw / raw.sum(axis=1, keepdims=True), positive=0
    )


@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.F1, Metric.RECALL, Metric.ROC_AUC, Metric.LOG_LOSS])
def test_several_classes(metric: Metric) -> None:
    rng = np.random.default_rng(1)
    known = holdout_scores(metric, three(rng, 4_000))
    assert known is not None
    found = estimate(metric, three(rng, 3_000, mixed=1.0), known, 0.95)
    assert found.expected.estimate == pytest.approx(measure(metric, three(rng, 100_000, mixed=1.0)), abs=0.025)
    assert found.worse.low > 0
    many = dataclasses.replace(three(rng, 100), scores=np.full((100, 21), 1 / 21))
    assert holdout_scores(metric, many) is None


def test_support_is_how_many_of_the_holdout_speak() -> None:
    rng = np.random.default_rng(0)
    score = rng.uniform(size=4_000)
    curve = Curve.of(score, (score > 0.5).astype(float))
    same = support(rng.uniform(size=2_000), curve)
    assert same.rows == pytest.approx(4_000, rel=0.05)
    assert same.outside == 0
    edge = support(rng.uniform(0.97, 1.0, 2_000), curve)
    assert edge.rows < 200
    assert support(np.array([0.5, 3.0]), curve).outside == 0.5


def test_of_many_scores_groups_are_kept_and_of_few_each() -> None:
    few = Curve.of(np.array([0.2, 0.1, 0.2]), np.array([1.0, 0.0, 0.0]))
    assert (few.score.tolist(), few.n.tolist(), few.total.tolist()) == ([0.1, 0.2], [1, 2], [0, 1])
    many = Curve.of(np.random.default_rng(0).uniform(size=10_000), np.ones(10_000))
    assert len(many.n) == 256
    assert many.n.sum() == many.total.sum() == 10_000


# The monitor.


def test_what_it_needs_it_says() -> None:
    monitor = Estimated(EstimateMonitor())
    (few,) = monitor.evaluate(unlabelled_view(100))
    assert few.sentence == "Cannot estimate whether accuracy holds: 100 rows; about 400 more would tell."
    (none,) = monitor.evaluate(empty_view())
    assert (none.outcome, none.n) == (Outcome.CANNOT_TELL, 0)
    view = unlabelled_view()
    (old,) = monitor.evaluate(dataclasses.replace(view, reference=dataclasses.replace(view.reference, holdout=None)))
    assert "is not kept with this version" in old.sentence
    labelled = quiet_view()
    assert isinstance(labelled.observed, Recorded)
    seen = dataclasses.replace(labelled.observed, scores=view.observed.scores)
    (told,) = monitor.evaluate(dataclasses.replace(labelled, observed=seen))
    assert "performance tells by these" in told.sentence
    assert isinstance(view.observed, Recorded)
    odd = dataclasses.replace(view.observed, scores=np.tile([0.005, 0.995], (2000, 1)))
    assert view.labelled is None
    few_held = holdout_scores(Metric.ACCURACY, World().rows(np.random.default_rng(0), 1_000))
    held = dataclasses.replace(view.reference, holdout=few_held)
    (unlike,) = monitor.evaluate(dataclasses.replace(view, reference=held, observed=odd))
    assert "rows of the holdout speak for such scores" in unlike.sentence


def test_a_quiet_window_says_estimate_and_holdout() -> None:
    (one,) = Estimated(EstimateMonitor()).evaluate(unlabelled_view())
    assert one.outcome is Outcome.OK
    assert one.sentence.startswith("Accuracy is estimated to hold: 0.6")
    assert "2,000 rows without labels); of the holdout's scores the same estimate is 0.6" in one.sentence
    assert "and its labels said 0.900; tolerated down to 0.6" in one.sentence


def test_what_is_kept_survives_its_bytes_and_faults_are_told() -> None:
    held = quiet_view(10).reference
    again = Reference.from_bytes(held.to_bytes())
    assert again.to_bytes() == held.to_bytes()
    assert again.holdout is not None
    for part, value in (("weights", [1.0]), ("curves", []), ("curves", [[[0.2, 0.1], [1, 1], [0, 1], [0, 1]]])):
        data = json.loads(held.to_bytes())
        data["holdout"][part] = value
        with pytest.raises(Tampered):
            Reference.from_bytes(json.dumps(data).encode())


def test_registration_keeps_how_right_the_holdout_was_and_the_steward_reads_what_was_answered(tmp_path: Path) -> None:
    import pandas as pd

    rng = np.random.default_rng(0)
    score = rng.uniform(size=800)
    table = pd.DataFrame(
        {"age": rng.normal(40, 10, 800), "job": "a", "y": (rng.uniform(size=800) < score).astype(float)}
    )
    table.loc[0, "y"] = np.nan
    both = np.stack([1 - score, score], axis=1)
    kept = Reference.from_bytes(describe(contract(), table, table, both)).holdout
    assert kept is not None
    assert kept.curves[0].n.sum() == 799, "rows without truth say nothing"
    assert Reference.from_bytes(describe(contract(), table, table, both[:10])).holdout is None
    journal(tmp_path, *(predicted(f"{i:032x}", score=float(s)) for i, s in enumerate(rng.uniform(size=30))))
    looked = steward(tmp_path).step(NOON).findings + steward(tmp_path).step(NOON + (NOON - NOON)).findings
    assert any(f.monitor == "estimate" and f.outcome is Outcome.CANNOT_TELL for f in looked)
