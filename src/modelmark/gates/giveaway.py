"""Is one input alone nearly the target?"""

from __future__ import annotations

import numpy as np

from modelmark.domain.contract import Metric, Task
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.gates import baselines
from modelmark.gates.case import Case, truth_of
from modelmark.gates.scene import Scene
from modelmark.stats.metrics import measure


def alone(case: Case, scene: Scene) -> tuple[Metric, dict[str, float]]:
    """How well a small tree that sees one input predicts the holdout, per input, best first."""
    probe = {Task.BINARY: Metric.ROC_AUC, Task.MULTICLASS: Metric.BALANCED_ACCURACY}.get(scene.judged.task, Metric.R2)
    each = baselines.single_columns(case.contract, case.train, truth_of(case.train, case.contract), case.holdout)
    values = {name: measure(probe, scene.of(scores)) for name, scores in each.items()}
    known = {name: value if np.isfinite(value) else -1.0 for name, value in values.items()}
    return probe, dict(sorted(known.items(), key=lambda pair: -pair[1]))


def giveaway_check(probe: Metric, values: dict[str, float], rows: int, suspicious: float) -> Check:
    """The strongest input against the score that only the target itself would reach."""
    name, value = next(iter(values.items()))
    limit = Limit(bound=Bound.AT_MOST, value=suspicious)
    tail = "" if limit.holds(value) else f": {name} is the target in disguise, a leak until someone explains it"
    return Check(
        name="no input gives the answer away",
        measured=value,
        estimate=value,
        n=rows,
        limit=limit,
        sentence=f"The strongest input alone, {name}, reaches {probe.title} {value:.4g} on {rows:,} rows{tail}.",
    )
