"""Closed forms, cut-offs and corrections: against their definitions, published numbers, and their own laws."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk
from sklearn.isotonic import IsotonicRegression

from modelmark.domain.contract import Costs
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.metrics import Metric, Task
from modelmark.stats import delong, near_duplicates, recalibration, slicing, thresholds
from modelmark.stats.bootstrap import interval
from modelmark.stats.calibration import calibration_error, cumulative, design_effect, equal_bins, ks_cdf, labels_needed
from modelmark.stats.holm import holm
from modelmark.stats.metrics import LabelledPredictions, losses, measure, statistic

# DeLong.


def textbook(score, positive):
    """DeLong et al. 1988 by its definition: every pair."""
    pairs = (score[positive][:, None] > score[~positive]) + 0.5 * (score[positive][:, None] == score[~positive])
    return pairs.mean(axis=1), pairs.mean(axis=0)


def two_scores(rng, n):
    y_true = rng.random(n) < 0.4
    base = rng.normal(y_true * 1.0)
    return y_true, np.round(base + rng.normal(0, 0.5, n), 1), np.round(base + rng.normal(0, 0.5, n), 1)


def test_placements_are_those_of_the_definition_ties_included():
    y_true, first, _ = two_scores(np.random.default_rng(0), 300)
    for ours, theirs in zip(delong.placements(first, y_true), textbook(first, y_true), strict=True):
        assert ours == pytest.approx(theirs)
    assert delong.auc(first, y_true).estimate == pytest.approx(sk.roc_auc_score(y_true, first))


def test_hanley_and_mcneils_radiologist():
    """Hanley & McNeil 1982, table I: 58 normal and 51 abnormal images in five grades; area 0.893, standard error 0.032."""
    grades = np.arange(1, 6)
    score = np.r_[np.repeat(grades, [33, 6, 6, 11, 2]), np.repeat(grades, [3, 2, 2, 11, 33])].astype(float)
    abnormal = np.r_[np.zeros(58, bool), np.ones(51, bool)]
    above, below = delong.placements(score, abnormal)
    assert above.mean() == pytest.approx(0.893, abs=5e-4)
    assert np.sqrt(above.var(ddof=1) / 51 + below.var(ddof=1) / 58) == pytest.approx(0.032, abs=2e-3)


def test_delong_and_the_bootstrap_agree():
    y_true, first, second = two_scores(np.random.default_rng(1), 800)
    a, b = (
        statistic(
            Metric.ROC_AUC,
            LabelledPredictions(task=Task.BINARY, y_true=y_true.astype(int), scores=np.c_[-s, s].astype(float)),
        )
        for s in (first, second)
    )
    pairs = [
        (delong.auc(first, y_true), interval(a, 800)),
        (delong.auc_difference(first, second, y_true), interval(lambda w: a(w) - b(w), 800)),
    ]
    for ours, theirs in pairs:
        assert ours.estimate == pytest.approx(theirs.estimate)
        assert ours.low == pytest.approx(theirs.low, abs=0.004)
        assert ours.high == pytest.approx(theirs.high, abs=0.004)


def test_delong_covers_as_often_as_promised():
    """95% asked at AUC 0.7602 (normal scores one standard deviation apart); 400 trials, 99.9% band 0.905 to 0.98."""
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):
        y_true = np.r_[np.ones(80, bool), np.zeros(120, bool)]
        found = delong.auc(rng.normal(y_true * 1.0), y_true)
        hits += found.low <= 0.76025 <= found.high
    assert 0.905 <= hits / 400 <= 0.985


def test_one_class_alone_has_no_curve():
    with pytest.raises(NotEnoughData):
        delong.auc(np.arange(5.0), np.ones(5, bool))


# Metrics that came later.


def test_average_precision_and_pinball_are_scikit_learns():
    rng = np.random.default_rng(3)
    y_true, weights = rng.integers(0, 2, 200), rng.integers(0, 4, 200).astype(float)
    score = np.round(rng.random(200), 1)
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.c_[1 - score, score])
    ours = statistic(Metric.AVERAGE_PRECISION, judged)(weights)
    assert ours == pytest.approx(sk.average_precision_score(y_true, score, sample_weight=weights))
    values = LabelledPredictions(task=Task.REGRESSION, y_true=score, scores=rng.random((200, 1)), quantile=0.8)
    theirs = sk.mean_pinball_loss(score, values.scores[:, 0], alpha=0.8)
    assert measure(Metric.PINBALL, values) == pytest.approx(theirs)


def test_losses_of_rows_are_bounded():
    assert losses(LabelledPredictions(task=Task.BINARY, y_true=np.array([1, 0]), scores=np.array([[0, 1.0], [0, 1]])))[
        1
    ].tolist() == [0, 1]
    wild = LabelledPredictions(task=Task.REGRESSION, y_true=np.zeros(4), scores=np.array([[0.0], [1e9], [2], [-3]]))
    assert losses(wild)[1].tolist() == [0.125, 0.875, 0.375, 0.625]


# Calibration.


def test_mapies_numbers():
    """mapie/tests/test_metrics.py: length scale, Kolmogorov-Smirnov statistic and its distribution."""
    draw = np.random.RandomState(1)
    score = draw.uniform(size=100)
    assert cumulative(score, score).scale == pytest.approx(0.040389, abs=1e-6)
    draw = np.random.RandomState(1)
    y_true, score = draw.choice([0, 1], 100).astype(float), draw.uniform(size=100)
    found = cumulative(score, y_true)
    assert found.statistic / found.scale == pytest.approx(5.607741, abs=1e-6)
    assert [ks_cdf(x) for x in (1, 2, 3)] == pytest.approx([0.370777, 0.908999, 0.9946], abs=1e-6)


@pytest.mark.parametrize("rows", [200, 1000, 10000])
def test_a_perfect_model_has_no_calibration_error(rows):
    """The plug-in error is about 0.085, 0.038 and 0.012 at these sizes; ours is centred on 0 and surely above it rarely."""
    rng = np.random.default_rng(rows)
    plain, sure, squared = [], 0, []
    for _ in range(100):
        score = rng.beta(1, 1, rows)
        outcome = (rng.random(rows) < score).astype(float)
        bins = equal_bins(score, outcome)
        plain.append(np.sqrt(bins.share @ bins.gap**2))
        squared.append(bins.share @ (bins.gap**2 - bins.noise))
        sure += calibration_error(score, outcome).low > 0
    assert np.mean(plain) > 5 * max(np.mean(squared), 0)
    assert abs(np.mean(squared)) < 0.35 * np.mean(plain) ** 2
    assert sure <= 9  # 2.5 expected of 100; the 99.9% band ends at 9


def test_the_interval_of_the_error_covers():
    """A model that is 0.1 too sure of itself everywhere: the true error is 0.1. 95% asked, 150 trials, band from 0.88."""
    rng, hits = np.random.default_rng(5), 0
    for _ in range(150):
        true = rng.uniform(0.1, 0.8, 1500)
        outcome = (rng.random(1500) < true).astype(float)
        found = calibration_error(true + 0.1, outcome)
        hits += found.low <= 0.1 <= found.high
    assert hits / 150 >= 0.88


def test_the_cumulative_test_keeps_its_size_and_sees_a_lean():
    rng = np.random.default_rng(6)
    false_alarms = 0
    for _ in range(300):
        score = rng.random(400)
        false_alarms += cumulative(score, (rng.random(400) < score).astype(float)).p_value < 0.05
    assert false_alarms / 300 <= 0.095  # 5% asked; the 99.9% band
    score = rng.uniform(0.1, 0.9, 4000)
    leaning = cumulative(score, (rng.random(4000) < score - 0.1).astype(float))
    assert leaning.p_value < 1e-6
    assert 0.05 < leaning.low < 0.1 < leaning.high


def test_rows_of_one_unit_are_worth_less():
    rng = np.random.default_rng(7)
    residual = np.repeat(rng.normal(size=50), 10)
    assert design_effect(residual, np.repeat(np.arange(50), 10)) == pytest.approx(10)
    assert design_effect(rng.normal(size=500), None) == 1


def test_how_many_labels_would_tell():
    rng = np.random.default_rng(8)
    score = rng.random(300)
    found = calibration_error(score, (rng.random(300) < score).astype(float))
    assert labels_needed(found, 1e-3) is None or found.high > 1e-3
    assert labels_needed(found, 0.5) is None
    assert labels_needed(found, found.estimate + 0.01) > 0


# Maps.


def skewed(rng, rows):
    true = rng.beta(1, 3, rows)
    return np.clip(true, 1e-9, 1) ** 0.5, (rng.random(rows) < true).astype(float), true


@pytest.mark.parametrize("method", list(recalibration.Method))
def test_a_map_mends_what_it_can_describe(method):
    rng = np.random.default_rng(9)
    score, outcome, _ = skewed(rng, 6000)
    fresh, came, true = skewed(rng, 6000)
    found = recalibration.fit(score, outcome, method)
    assert np.abs(fresh - true).mean() > 0.2
    assert np.abs(found(fresh) - true).mean() < 0.03
    assert calibration_error(found(fresh), came).low < 0.02


def test_the_isotonic_map_follows_scikit_learns_steps():
    score, outcome, _ = skewed(np.random.default_rng(10), 3000)
    ours = recalibration.fit(score, outcome, recalibration.Method.ISOTONIC)(score)
    theirs = IsotonicRegression(y_min=0, y_max=1).fit(score, outcome).predict(score)
    assert np.abs(ours - theirs).mean() < 0.02
    assert np.all(np.diff(ours[np.argsort(score)]) >= 0)


def test_too_few_rows_make_no_map():
    with pytest.raises(NotEnoughData, match="rarer class"):
        recalibration.fit(np.random.default_rng(0).random(100), np.r_[np.ones(5), np.zeros(95)])


# Thresholds.

COSTS = Costs(false_positive=1, false_negative=4)


def test_the_cheapest_threshold_is_the_one_of_theory():
    """With true probabilities it is fp / (fp + fn) = 0.2 (Elkan 2001)."""
    rng = np.random.default_rng(11)
    score = rng.random(20000)
    positive = rng.random(20000) < score
    best, price = thresholds.cheapest(score, positive, COSTS)
    assert best == pytest.approx(0.2, abs=0.03)
    assert price == pytest.approx(thresholds.cost_rows(score, positive, best, COSTS).mean())
    grid = thresholds.curve(score, positive, COSTS)
    assert grid.cost.min() >= price - 1e-12
    assert np.all((grid.low <= grid.cost) & (grid.cost <= grid.high))


def test_regret_is_nought_at_the_best_and_sure_far_from_it():
    rng = np.random.default_rng(12)
    score = rng.random(3000)
    positive = rng.random(3000) < score
    assert thresholds.regret(score, positive, 0.2, COSTS)[1] <= 0
    assert thresholds.regret(score, positive, 0.7, COSTS)[1] > 0.1


def test_regret_of_rows_in_units_is_less_sure():
    rng = np.random.default_rng(12)
    score, positive = np.repeat(rng.random(60), 10), np.repeat(rng.random(60) < 0.3, 10)
    alone = thresholds.regret(score, positive, 0.9, COSTS)
    together = thresholds.regret(score, positive, 0.9, COSTS, units=np.repeat(np.arange(60), 10))
    assert together[2] - together[1] > 2 * (alone[2] - alone[1])
    assert thresholds.regret(score, positive, 0.9, COSTS, units=np.arange(600)) == alone


# Slices and twins.


def test_holm_is_the_published_step_down():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def conditions(rng, rows):
    numbers = {name: rng.normal(size=rows) for name in "abcde"}
    found = [where for name, values in numbers.items() for where in slicing.number_conditions(name, values)]
    return numbers, found + slicing.text_conditions("kind", list(rng.choice(["x", "y", "z"], rows)))


def confirmed(found, loss, half):
    """Whether any searched slice is surely worse than the whole on the other half, at no tolerance."""
    seen = [slicing.Where(column=w.column, text=w.text, mask=w.mask[half]) for w in found]
    chosen = slicing.search(seen, loss[half], min_rows=10)
    masks = {(w.column, w.text): w.mask[~half] for w in found}
    p_values = []
    for parts in chosen:
        mask = np.logical_and.reduce([masks[p.column, p.text] for p in parts])
        if mask.sum() >= 10:
            gap = slicing.gap_of(mask, loss[~half], tolerance=0, confidence=0.95)
            p_values.append(gap.p_value)
    return bool(p_values) and min(holm(p_values)) < 0.05


def test_nothing_is_found_where_nothing_is():
    """Family-wise error over whole searches: 5% asked, 100 trials, 99.9% band up to 13."""
    rng, found = np.random.default_rng(13), 0
    for _ in range(100):
        loss = rng.beta(0.5, 3, 600)
        found += confirmed(conditions(rng, 600)[1], loss, rng.random(600) < 0.5)
    assert found <= 13


def test_two_conditions_are_found_together():
    rng = np.random.default_rng(14)
    numbers, found = conditions(rng, 4000)
    weak = (numbers["a"] > 1) & (numbers["b"] < -0.7)
    loss = np.where(weak, 0.7, 0.1) + rng.normal(0, 0.1, 4000)
    best = slicing.search(found, loss, min_rows=20)[0]
    mask = np.logical_and.reduce([w.mask for w in best])
    assert {w.column for w in best} == {"a", "b"}
    assert (mask & weak).sum() / mask.sum() > 0.8


def test_near_twins_are_neighbours_and_copies_are_not():
    rng = np.random.default_rng(15)
    train, holdout = rng.normal(size=(500, 6)), rng.normal(size=(200, 6))
    holdout[:20] = train[:20] + 1e-4
    holdout[20:40] = train[20:40]
    texts = [["x", "y"] * 250, ["x", "y"] * 100]
    among, asked = near_duplicates.places(
        {str(i): [train[:, i], holdout[:, i]] for i in range(6)}, {"k": [texts[0], texts[1]]}
    )
    assert near_duplicates.near_duplicates(asked, among, 0.01).nonzero()[0].tolist() == list(range(20))
    assert not near_duplicates.near_duplicates(among[:100], among, 0.01, own=True).any()
    other = near_duplicates.places({"0": [train[:, 0], train[:, 0]]}, {"k": [["x"] * 500, ["y"] * 500]})
    assert not near_duplicates.near_duplicates(other[1], other[0], 0.01).any()


@pytest.mark.parametrize(("positives", "negatives"), [(2, 10), (12, 12), (40, 60)])
def test_perfect_ranks_are_a_surprise_below_the_lowest_perfect_auc(positives, negatives):
    """The law: where the true AUC is the interval's end, samples are perfect about as rarely as promised (2.5%)."""
    low = delong.lowest_perfect(positives, negatives)
    rng, apart = np.random.default_rng(0), 2**0.5 * norm.ppf(low)
    above = rng.normal(apart, 1, (20_000, positives)).min(axis=1) > rng.normal(0, 1, (20_000, negatives)).max(axis=1)
    assert above.mean() < 0.05
    assert delong.lowest_perfect(10 * positives, 10 * negatives) > low
