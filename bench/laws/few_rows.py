"""Do intervals hold where few rows decide? How often each end misses the truth; 2.5% an end is asked.

Run: python bench/laws/few_rows.py. The tests hold short forms of the same laws.
"""

from __future__ import annotations

import argparse
from statistics import NormalDist

import numpy as np

from modelmark.domain.contract import Costs
from modelmark.domain.metrics import Metric, Task
from modelmark.stats.bootstrap import interval
from modelmark.stats.few_rows import few_rows_interval
from modelmark.stats.metrics import LabelledPredictions, measure, statistic

ROWS = 1000
COSTS = Costs(true_positive=0, false_positive=1, true_negative=0, false_negative=100)


def scored(rng: np.random.Generator, positives: int, auc: float) -> LabelledPredictions:
    """ROWS rows with normal scores as far apart as the AUC asks."""
    y_true = np.r_[np.ones(positives, dtype=np.int64), np.zeros(ROWS - positives, dtype=np.int64)]
    score = rng.normal(y_true * NormalDist().inv_cdf(auc) * 2**0.5)
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=np.c_[-score, score])


def decided(rng: np.random.Generator, dear: float) -> tuple[LabelledPredictions, float]:
    """(ROWS rows whose missed positives cost 100 and are `dear` of all, alarms 1 and 5% of all; the true cost a row)."""
    shares = (0.05, 0.05, 0.9 - dear, dear)
    cell = np.repeat(np.arange(4), rng.multinomial(ROWS, shares))
    score = np.isin(cell, (0, 1)) * 1.0
    y_true = np.isin(cell, (0, 3)).astype(np.int64)
    scores = np.c_[1 - score, score]
    return LabelledPredictions(task=Task.BINARY, y_true=y_true, scores=scores, costs=COSTS), 0.05 + 100 * dear


def missed(metric: Metric, judged: LabelledPredictions, true: float, *, resampled: bool = False) -> tuple[bool, bool]:
    """Whether the lower end, and the upper end, misses the truth. resampled: by the bootstrap, as it was."""
    found = few_rows_interval(metric, measure(metric, judged), judged, 0.95)
    if resampled or found is None:
        found = interval(statistic(metric, judged), ROWS, times=400)
    return found.low > true, found.high < true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=2000, help="simulations of each law; the bootstrap gets a tenth")
    times = parser.parse_args().times
    for resampled in (False, True):
        rng, count = np.random.default_rng(0), max(times // 10, 1) if resampled else times
        how = "bootstrap" if resampled else "these"
        for auc, positives in ((0.97, 2), (0.76, 10), (0.9, 10), (0.97, 10), (0.9, 20), (0.9, 80)):
            metric = Metric.ROC_AUC
            if resampled and positives < 10:
                continue
            ends = [missed(metric, scored(rng, positives, auc), auc, resampled=resampled) for _ in range(count)]
            low, high = np.mean(ends, axis=0)
            print(f"AUC {auc}, {positives} positives of {ROWS}: {low:.3f}, {high:.3f} ({how}, {count:,})", flush=True)
        for dear in (0.001, 0.003, 0.01):
            ends = [missed(Metric.EXPECTED_COST, *decided(rng, dear), resampled=resampled) for _ in range(count)]
            low, high = np.mean(ends, axis=0)
            print(
                f"expected cost, {dear * ROWS:g} dear misses expected: {low:.3f}, {high:.3f} ({how}, {count:,})",
                flush=True,
            )


if __name__ == "__main__":
    main()
