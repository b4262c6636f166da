"""Our weighted metrics are scikit-learn's."""

import os
import time

import numpy as np
import pytest
from sklearn import metrics as sk

from modelmark.domain.contract import Costs
from modelmark.domain.errors import Unmeasured
from modelmark.domain.metrics import Metric, Task
from modelmark.stats.metrics import LabelledPredictions, measure, statistic

RNG = np.random.default_rng(0)
N = 300
TRUTH = RNG.integers(0, 2, N)
SCORE = np.round(np.clip(RNG.normal(0.3 + 0.4 * TRUTH, 0.25), 0.01, 0.99), 2)  # rounded: ties
BINARY = LabelledPredictions(
    task=Task.BINARY, y_true=TRUTH, scores=np.c_[1 - SCORE, SCORE], costs=Costs(false_positive=1, false_negative=5)
)
SAID = (SCORE >= 0.5).astype(int)
WEIGHTS = RNG.integers(0, 4, N).astype(float)

EXPECTED = {
    Metric.ACCURACY: lambda w: sk.accuracy_score(TRUTH, SAID, sample_weight=w),
    Metric.BALANCED_ACCURACY: lambda w: sk.balanced_accuracy_score(TRUTH, SAID, sample_weight=w),
    Metric.ROC_AUC: lambda w: sk.roc_auc_score(TRUTH, SCORE, sample_weight=w),
    Metric.F1: lambda w: sk.f1_score(TRUTH, SAID, sample_weight=w),
    Metric.PRECISION: lambda w: sk.precision_score(TRUTH, SAID, sample_weight=w),
    Metric.RECALL: lambda w: sk.recall_score(TRUTH, SAID, sample_weight=w),
    Metric.LOG_LOSS: lambda w: sk.log_loss(TRUTH, SCORE, sample_weight=w),
    Metric.BRIER: lambda w: sk.brier_score_loss(TRUTH, SCORE, sample_weight=w),
    Metric.EXPECTED_COST: lambda w: np.average(np.where(SAID > TRUTH, 1, np.where(SAID < TRUTH, 5, 0)), weights=w),
}


@pytest.mark.parametrize("metric", EXPECTED)
def test_binary(metric):
    assert statistic(metric, BINARY)(WEIGHTS) == pytest.approx(EXPECTED[metric](WEIGHTS), abs=1e-12)


def test_several_classes():
    y_true = RNG.integers(0, 3, N)
    scores = RNG.dirichlet([1, 1, 1], N) + np.eye(3)[y_true] * 0.5
    scores /= scores.sum(axis=1, keepdims=True)
    judged, said = LabelledPredictions(task=Task.MULTICLASS, y_true=y_true, scores=scores), scores.argmax(axis=1)
    assert measure(Metric.ROC_AUC, judged) == pytest.approx(sk.roc_auc_score(y_true, scores, multi_class="ovr"))
    assert measure(Metric.F1, judged) == pytest.approx(sk.f1_score(y_true, said, average="macro"))
    assert measure(Metric.LOG_LOSS, judged) == pytest.approx(sk.log_loss(y_true, scores))


def test_regression():
    y_true, guess = RNG.normal(0, 1, N), RNG.normal(0, 1, N)
    judged = LabelledPredictions(task=Task.REGRESSION, y_true=y_true, scores=guess[:, None])
    assert statistic(Metric.R2, judged)(WEIGHTS) == pytest.approx(sk.r2_score(y_true, guess, sample_weight=WEIGHTS))
    assert measure(Metric.RMSE, judged) == pytest.approx(sk.root_mean_squared_error(y_true, guess))
    assert measure(Metric.MAE, judged) == pytest.approx(sk.mean_absolute_error(y_true, guess))


def test_a_metric_that_does_not_fit_is_unmeasured():
    with pytest.raises(Unmeasured):
        measure(Metric.MAE, BINARY)


def test_an_auc_without_ties_is_scikit_learns_too():
    score = RNG.permutation(N) / N
    untied = LabelledPredictions(task=Task.BINARY, y_true=TRUTH, scores=np.c_[1 - score, score])
    ours = statistic(Metric.ROC_AUC, untied)(WEIGHTS)
    assert ours == pytest.approx(sk.roc_auc_score(TRUTH, score, sample_weight=WEIGHTS), abs=1e-12)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor has no threads to share with")
@pytest.mark.parametrize("metric", [Metric.ACCURACY, Metric.LOG_LOSS, Metric.AVERAGE_PRECISION, Metric.RMSE, Metric.R2])
def test_a_resample_is_reckoned_in_one_thread(metric):
    """What BLAS shares among threads costs more processor time than it takes, and far more where others are at work."""
    rows = 50_000
    score, truth = RNG.uniform(size=rows), RNG.integers(0, 2, rows)
    regression = metric in (Metric.RMSE, Metric.R2)
    many = LabelledPredictions(
        task=Task.REGRESSION if regression else Task.BINARY,
        y_true=truth.astype(float) if regression else truth,
        scores=score[:, None] if regression else np.c_[1 - score, score],
    )
    value, weights = statistic(metric, many), RNG.integers(0, 4, rows).astype(float)
    began = time.process_time(), time.thread_time()
    while (here := time.thread_time() - began[1]) < 0.2:
        value(weights)
    assert time.process_time() - began[0] < 1.3 * here + 0.02
