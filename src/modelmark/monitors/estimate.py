"""Performance without labels: is the objective still what the holdout promised, as far as scores can tell?

The estimate of the window is held against the same estimate of the holdout, so what the method itself gets wrong falls out. It is
greyed out, which is cannot tell, where one of what it takes for granted fails: the holdout knows such scores (support), and
the latest matured labels came as their scores said (agreement, which is lost when what inputs mean changes).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import EstimateMonitor
from modelmark.domain.classes import positive_of
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Direction, Metric, Task, amount
from modelmark.monitors.cohort import NEARLY_ALL, Cohort, with_labels
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.looks import reach
from modelmark.stats.metrics import Array, judged
from modelmark.stats.watching.without_labels import Estimate, HoldoutScores, disagreement, estimate, support

NAME: Final = "estimate"
#: Rows of the holdout that must speak for the window's.
LEAST_SUPPORT: Final = 100
#: Of the window's rows may lie where no row of the holdout does.
OUTSIDE: Final = 0.01
_AGREES: Final = 0.99


class Estimated:
    """One finding, about the objective."""

    name = NAME

    def __init__(self, settings: EstimateMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        metric, known, scores = view.contract.objective.metric, view.reference.holdout, view.observed.scores
        n = 0 if scores is None else len(scores)
        if known is None:
            return [_unknown(view, "what the holdout's scores meant is not kept with this version", n)]
        if scores is None or n < self._settings.min_rows:
            return [_unknown(view, f"{n:,} rows; about {max(self._settings.min_rows - n, 1):,} more would tell", n)]
        if any(c.window == view.window and 0 < NEARLY_ALL * c.rows <= c.labels for c in view.cohorts):
            return [_unknown(view, "labels of nearly all rows have come, and performance tells by these", n)]
        rows = judged(view.contract, np.zeros(n, dtype=np.int64), scores)
        try:
            found = estimate(metric, rows, known, self._settings.confidence)
            tolerated = amount(metric, self._settings.tolerance, found.holdout)
            why = self._unsupported(view, known, scores) or self._disagrees(view, known, tolerated / 2)
        except ModelmarkError as error:
            return [_unknown(view, error.message, n)]
        return [self._finding(view, found, tolerated, why)]

    def _unsupported(self, view: MonitorContext, known: HoldoutScores, scores: Array) -> str:
        """Why the holdout says nothing of such rows; else nothing."""
        watched = positive_of(view.contract) if view.contract.model.task is Task.BINARY else 0
        for k, curve in enumerate(known.curves):
            column = k if len(known.curves) > 1 else watched
            held = support(scores[:, column], curve)
            if held.outside > OUTSIDE:
                return f"{held.outside:.1%} of the rows have answers that the holdout never came near"
            if held.rows < LEAST_SUPPORT:
                return (
                    f"only {held.rows:,.0f} rows of the holdout speak for such scores, and {LEAST_SUPPORT} are needed"
                )
        return ""

    def _disagrees(self, view: MonitorContext, known: HoldoutScores, allowed: float) -> str:
        """Why scores no longer mean what they did, by the latest matured labels; else nothing."""
        metric = view.contract.objective.metric
        cohort = self._latest(view)
        labelled = None if cohort is None else cohort.read()
        if cohort is None or labelled is None or len(labelled.y_true) < self._settings.min_labels:
            return ""
        gap = disagreement(metric, labelled, known, _AGREES)
        if gap.low <= allowed and gap.high >= -allowed:
            return ""
        worse = "worse" if gap.estimate > 0 else "better"
        return (
            f"on the {gap.n:,} labels of {cohort} {metric.title} was {abs(gap.estimate):.3f} {worse} than their scores said, so "
            "scores no longer mean what they did (concept drift, or labels that changed)"
        )

    def _latest(self, view: MonitorContext) -> Cohort | None:
        ready = [cohort for cohort in with_labels(view.cohorts, self._settings.min_labels) if cohort.mature]
        return ready[0] if ready else None

    def _finding(self, view: MonitorContext, found: Estimate, tolerated: float, why: str) -> Finding:
        """Alert only when it is surely worse, over all looks of a month, and what it takes for granted holds."""
        metric, settings = view.contract.objective.metric, view.contract.monitors
        here = found.expected
        doubt = (found.worse.estimate - found.worse.low) * reach(
            here.confidence,
            window=settings.window_minutes,
            every=settings.every_seconds / 60,
            span=settings.budget_minutes,
        )
        sign = 1.0 if view.contract.objective.direction is Direction.MAXIMISE else -1.0
        limit = found.holdout - sign * tolerated
        numbers = (
            f"{here.estimate:.3f} ({100 * here.confidence:.4g}% interval {here.low:.3f} to {here.high:.3f}; {here.n:,} rows "
            f"without labels); of the holdout's scores the same estimate is {found.holdout:.3f}"
        )
        if view.baseline is not None:
            numbers += f" and its labels said {view.baseline:.3f}"
        if why:
            sentence = f"Cannot tell by an estimate whether {metric.title} holds: {why}. It would have been {numbers}."
            return view.finding(NAME, metric.value, Outcome.CANNOT_TELL, sentence, n=here.n, limit=limit)
        surely = found.worse.estimate - doubt > tolerated
        said = "is estimated to be worse than promised" if surely else "is estimated to hold"
        name = metric.title[:1].upper() + metric.title[1:]
        return view.finding(
            NAME, metric.value, Outcome.ALERT if surely else Outcome.OK,
            f"{name} {said}: {numbers}; tolerated {'down' if sign > 0 else 'up'} to {limit:.3f}.",
            n=here.n, measured=here.estimate, low=here.low, high=here.high, limit=limit,
        )  # fmt: skip


def _unknown(view: MonitorContext, why: str, n: int) -> Finding:
    metric: Metric = view.contract.objective.metric
    sentence = f"Cannot estimate whether {metric.title} holds: {why}."
    return view.finding(NAME, metric.value, Outcome.CANNOT_TELL, sentence, n=n)
