"""Is performance without labels what labels then say, is what fails its assumptions greyed out, is calibration drift told?

Run: python bench/laws/estimate.py. The tests hold a short form. A world of two inputs: the model's score is the square root
of what it should be, so calibration matters; covariate shift moves rows to where classes mix, concept drift turns labels.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import CalibrationMonitor, EstimateMonitor
from modelmark.domain.contract import Objective
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Metric, Task
from modelmark.monitors.calibration import Calibrated
from modelmark.monitors.estimate import Estimated
from modelmark.monitors.monitor import MonitorContext, Recorded
from modelmark.stats.metrics import LabelledPredictions, measure
from modelmark.stats.watching.without_labels import estimate, holdout_scores
from modelmark.testing.monitors import cohort_of, quiet_view

METRICS: Final = (Metric.ACCURACY, Metric.F1, Metric.ROC_AUC, Metric.AVERAGE_PRECISION, Metric.LOG_LOSS)


@dataclass(frozen=True, slots=True)
class World:
    """mixed: how much nearer rows lie to where classes mix, 0 to 1. turned: share of labels that are the other class. risen: share
    of the negative ones that are positive."""

    mixed: float = 0.0
    turned: float = 0.0
    risen: float = 0.0

    def rows(self, rng: np.random.Generator, n: int) -> LabelledPredictions:
        x = 2.5 * (1 - self.mixed) * rng.normal(size=n)
        p = 1 / (1 + np.exp(-x))
        came = rng.uniform(size=n) < p
        turned = rng.uniform(size=n) < np.where(came, self.turned, self.turned + self.risen)
        return LabelledPredictions(
            task=Task.BINARY,
            y_true=(came != turned).astype(np.int64),
            scores=np.stack([1 - p**0.5, p**0.5], axis=1),
            threshold=0.7,
        )


def numbers(rng: np.random.Generator, n: int, *, level: float = 0.0) -> LabelledPredictions:
    """Answers whose errors grow with them."""
    said = 10 + level + rng.normal(size=n) * 3
    return LabelledPredictions(
        task=Task.REGRESSION, y_true=said + rng.normal(size=n) * np.abs(said) / 10, scores=said[:, None]
    )


def miss(metric: Metric, world: World, seed: int, *, holdout: int = 5_000, rows: int = 5_000) -> tuple[bool, float]:
    """Whether the 95% interval misses what the labels of very many such rows say, and by how much the estimate does."""
    rng = np.random.default_rng(seed)
    known = holdout_scores(metric, World().rows(rng, holdout))
    assert known is not None
    found = estimate(metric, world.rows(rng, rows), known, 0.95, seed=seed).expected
    truth = measure(metric, world.rows(np.random.default_rng(10_000), 400_000))
    return not found.low <= truth <= found.high, found.estimate - truth


def look(
    metric: Metric, world: World, seed: int, *, holdout: int = 2_000, rows: int = 2_000, labels: int = 0
) -> Finding:
    """What the monitor says of one window. labels: so many have come of rows of an earlier one."""
    rng = np.random.default_rng(seed)
    known = holdout_scores(metric, World().rows(rng, holdout))
    view: MonitorContext = quiet_view(10)
    cohorts = (cohort_of(world.rows(rng, labels)),) if labels else ()
    window = replace(
        view.window, start=view.window.start - (view.window.end - view.window.start), end=view.window.start
    )
    seen = Recorded(
        profiles={},
        refused={},
        scores=world.rows(rng, rows).scores,
        cohorts=[replace(c, window=window) for c in cohorts],
    )
    contract = replace(
        view.contract, objective=Objective(metric=metric), outputs=replace(view.contract.outputs, threshold=0.7)
    )
    view = replace(view, contract=contract, reference=replace(view.reference, holdout=known), observed=seen)
    (found,) = Estimated(EstimateMonitor()).evaluate(view)
    return found


def calibration(world: World, seed: int, *, holdout: int = 2_000, labels: int = 500) -> Finding:
    """What the monitor of calibration says of so many labels."""
    rng = np.random.default_rng(seed)
    known, view = holdout_scores(Metric.ACCURACY, World().rows(rng, holdout)), quiet_view(10)
    seen = Recorded(profiles={}, refused={}, cohorts=[cohort_of(world.rows(rng, labels))])
    view = replace(view, reference=replace(view.reference, holdout=known), observed=seen)
    (found,) = Calibrated(CalibrationMonitor()).evaluate(view)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    times = parser.parse_args().times
    for metric in METRICS:
        for name, world in (("quiet", World()), ("shifted", World(mixed=0.5))):
            found = [miss(metric, world, seed) for seed in range(times)]
            wide = np.mean([abs(error) for _, error in found])
            print(
                f"{metric.value} {name}: 95% intervals miss in {np.mean([m for m, _ in found]):.3f}; mean error {wide:.4f}"
            )
    for name, world, labels in (
        ("quiet", World(), 0), ("covariate shift", World(mixed=0.5), 0), ("covariate shift, 300 labels", World(mixed=0.5), 300),
        ("concept drift, 300 labels", World(turned=0.15), 300), ("concept drift, no labels", World(turned=0.15), 0),
    ):  # fmt: skip
        outcomes = [look(Metric.ACCURACY, world, seed, labels=labels).outcome for seed in range(times)]
        print(f"accuracy, {name}: " + ", ".join(f"{o.value} {outcomes.count(o) / times:.3f}" for o in Outcome))
    for name, world in (
        ("quiet", World()), ("rows shifted", World(mixed=0.5)), ("a fifth of the negatives positive", World(risen=0.2)),
        ("half of them", World(risen=0.5)), ("four in ten labels turned", World(turned=0.4)),
    ):  # fmt: skip
        for labels in (100, 500, 5_000):
            outcomes = [calibration(world, seed, labels=labels).outcome for seed in range(times)]
            said = ", ".join(f"{o.value} {outcomes.count(o) / times:.3f}" for o in Outcome)
            print(f"calibration, {name}, {labels:,} labels: {said}")


if __name__ == "__main__":
    main()
