"""How much larger a loss may get after release, proposed from how unsure the holdout itself is of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from modelmark.contract.infer import TOLERANCE, Draft
from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.metrics import UNSCALED, Metric
from modelmark.registry.drafting.rehearsal import Loss, Rehearsal

#: Never less than the monitor's own default: a large holdout is sure of its loss, and months differ all the same.
_LEAST: Final = PerformanceMonitor().tolerance


def with_tolerance(found: Draft, rehearsal: Rehearsal | None) -> Draft:
    """The draft with a tolerance for its loss, and why; the same draft where its metric needs none."""
    metric = found.metric
    if metric not in UNSCALED:
        return found
    loss = rehearsal.loss if rehearsal else None
    if loss is None or not loss.share < 1:
        tolerance, why = found.tolerance, f"not from the holdout, because {_why_not(loss, rehearsal)}"
    else:
        tolerance, why = max(_LEAST, math.ceil(100 * loss.share) / 100), _measured(metric, loss)
    what = f"how much larger than on the holdout {metric.title} may surely get, as a share of it; {why}"
    return replace(found, tolerance=tolerance, guesses={**found.guesses, TOLERANCE: what})


def _measured(metric: Metric, loss: Loss) -> str:
    asked = f"{loss.asked:,} of its {loss.rows:,} rows" if loss.asked < loss.rows else f"its {loss.rows:,} rows"
    least = f", and less than {_LEAST:.0%} is not proposed" if loss.share < _LEAST else ""
    unsure = f"leaves it unsure by {loss.share:.1%} (95% interval)"
    return f"there {metric.title} is {loss.estimate:.4g} on {asked}, which {unsure}{least}"


def _why_not(loss: Loss | None, rehearsal: Rehearsal | None) -> str:
    if rehearsal is None:
        return "the model was not asked"
    if loss is not None:
        return "its rows leave it unsure by all of it"
    return "the model could not answer it" if rehearsal.obstacle else "it has too few rows with a known target"
