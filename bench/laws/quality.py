"""Do the intervals of the quality gates cover, and do their searches keep quiet, in 2,000 simulations each?

Run: python bench/laws/quality.py. The tests hold short forms of the same laws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from modelmark.domain.metrics import Metric, Task
from modelmark.stats import delong, slicing
from modelmark.stats.bootstrap import interval
from modelmark.stats.calibration import calibration_error, cumulative
from modelmark.stats.holm import holm
from modelmark.stats.metrics import LabelledPredictions, statistic

AUC = 0.7602499  # of normal scores one standard deviation apart: Phi(1 / sqrt 2)


def _scores(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    y_true = np.r_[np.ones(80, dtype=np.int64), np.zeros(120, dtype=np.int64)]
    return y_true, rng.normal(y_true * 1.0)


def delong_covers(rng: np.random.Generator) -> bool:
    y_true, score = _scores(rng)
    found = delong.auc(score, y_true == 1)
    return found.low <= AUC <= found.high


def bca_covers_the_auc(rng: np.random.Generator) -> bool:
    y_true, score = _scores(rng)
    judged = LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.c_[-score, score])
    found = interval(statistic(Metric.ROC_AUC, judged), len(y_true), times=800)
    return found.low <= AUC <= found.high


def bca_covers_a_mean(rng: np.random.Generator) -> bool:
    values = rng.exponential(1, 200)
    found = interval(lambda w: float(w @ values / w.sum()), 200, times=800)
    return found.low <= 1 <= found.high


def clusters_cover(rng: np.random.Generator) -> bool:
    values = np.repeat(rng.normal(0, 1, 60), 5) + rng.normal(0, 0.5, 300)
    found = interval(lambda w: float(w @ values / w.sum()), 300, units=np.repeat(np.arange(60), 5), times=800)
    return found.low <= 0 <= found.high


def paired_equals_are_called_different(rng: np.random.Generator) -> bool:
    y_true, base = _scores(rng)
    found = delong.auc_difference(base + rng.normal(0, 0.5, 200), base + rng.normal(0, 0.5, 200), y_true == 1)
    return not found.low <= 0 <= found.high


def the_calibration_interval_covers(rng: np.random.Generator) -> bool:
    true = rng.uniform(0.1, 0.8, 1500)
    found = calibration_error(true + 0.1, (rng.random(1500) < true).astype(float))
    return found.low <= 0.1 <= found.high


def a_perfect_model_is_surely_off(rng: np.random.Generator) -> bool:
    score = rng.beta(1, 1, 1000)
    return calibration_error(score, (rng.random(1000) < score).astype(float)).low > 0


def the_cumulative_test_rejects_a_perfect_model(rng: np.random.Generator) -> bool:
    score = rng.random(1000)
    return cumulative(score, (rng.random(1000) < score).astype(float)).p_value < 0.05


def a_clean_search_finds_a_slice(rng: np.random.Generator) -> bool:
    rows, half = 600, rng.random(600) < 0.5
    loss = rng.beta(0.5, 3, rows)
    every = [w for name in "abcde" for w in slicing.number_conditions(name, rng.normal(size=rows))]
    seen = [slicing.Where(column=w.column, text=w.text, mask=w.mask[half]) for w in every]
    later = {(w.column, w.text): w.mask[~half] for w in every}
    p_values = []
    for parts in slicing.search(seen, loss[half], min_rows=10):
        mask = np.logical_and.reduce([later[p.column, p.text] for p in parts])
        if mask.sum() >= 10:
            p_values.append(slicing.gap_of(mask, loss[~half], tolerance=0, confidence=0.95).p_value)
    return bool(p_values) and min(holm(p_values)) < 0.05


LAWS: tuple[tuple[str, Callable[[np.random.Generator], bool], float], ...] = (
    ("DeLong's interval covers the AUC (200 rows)", delong_covers, 0.95),
    ("BCa covers the AUC (200 rows)", bca_covers_the_auc, 0.95),
    ("BCa covers a skewed mean (200 rows)", bca_covers_a_mean, 0.95),
    ("BCa by clusters covers a mean (60 of 5)", clusters_cover, 0.95),
    ("two equal scores are called different", paired_equals_are_called_different, 0.05),
    ("the interval of the calibration error covers", the_calibration_interval_covers, 0.95),
    ("a perfect model is surely off", a_perfect_model_is_surely_off, 0.025),
    ("the cumulative test rejects a perfect model", the_cumulative_test_rejects_a_perfect_model, 0.05),
    ("a search on clean data finds a slice (family-wise)", a_clean_search_finds_a_slice, 0.05),
)


def main() -> None:
    """One line a law: how often it held, its 99% band by simulation error, and what was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law")
    times = parser.parse_args().times
    for name, holds, asked in LAWS:
        rng, started = np.random.default_rng(0), time.perf_counter()
        share = sum(holds(rng) for _ in range(times)) / times
        reach = 2.58 * (share * (1 - share) / times) ** 0.5
        seconds = time.perf_counter() - started
        print(f"{name:<52} {share:.4f} ± {reach:.4f}  (asked {asked:g}; {times:,} trials, {seconds:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
