"""Live performance: is the objective on labelled rows still what the holdout promised?

Looks at the labels that came in the window, whenever their predictions were made. Labels that come fast need not be
typical of those that come late, so right after a release this speaks of the fast ones only.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.errors import Unmeasured
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Direction
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.bootstrap import Interval, interval
from modelmark.stats.metrics import LabelledPredictions, statistic

NAME: Final = "performance"
_TIMES: Final = 400


class Performance:
    """One finding, about the objective."""

    name = NAME

    def __init__(self, settings: PerformanceMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        judged = view.labelled
        metric = view.contract.objective.metric
        n = 0 if judged is None else len(judged.y_true)
        if view.baseline is None:
            return [
                self._unknown(view, f"Cannot tell whether {metric.title} fell: the holdout's value is not known.", n)
            ]
        more = self._settings.min_labels - n
        if judged is None or more > 0:
            sentence = f"Cannot tell whether {metric.title} holds: {n:,} labels in this window; about {more:,} more would tell."
            return [self._unknown(view, sentence, n)]
        try:
            measured = interval(
                statistic(metric, judged), n, confidence=self._settings.confidence, times=_TIMES, seed=0
            )
        except Unmeasured as error:
            sentence = f"Cannot tell whether {metric.title} holds on {n:,} labels: {error.message}; about {_hint(judged)} more."
            return [self._unknown(view, sentence, n)]
        return [self._finding(view, measured, view.baseline, judged.drawn_from)]

    def _finding(self, view: MonitorContext, measured: Interval, baseline: float, drawn_from: int = 0) -> Finding:
        """Alert only when even the interval's better end is worse than tolerated. drawn_from: as `LabelledPredictions` has
        it."""
        sign = 1.0 if view.contract.objective.direction is Direction.MAXIMISE else -1.0
        limit = baseline - sign * self._settings.tolerance
        better, half = (measured.high if sign > 0 else measured.low), (measured.high - measured.low) / 2
        gap = sign * (limit - measured.estimate)  # how far on the wrong side
        metric = view.contract.objective.metric
        name = metric.title[:1].upper() + metric.title[1:]
        numbers = (
            f"{measured.estimate:.3f} on {measured.n:,} labels{f' drawn at random of {drawn_from:,}' if drawn_from else ''} "
            f"({measured.confidence:.0%} interval {measured.low:.3f} to {measured.high:.3f})"
        )
        tail = f"holdout {baseline:.3f}, tolerated {'down' if sign > 0 else 'up'} to {limit:.3f}."
        if sign * (limit - better) > 0:
            outcome, sentence = Outcome.ALERT, f"{name} is worse than promised: {numbers}; {tail}"
        elif gap > 0:
            more = max(1, ceil(measured.n * ((half / gap) ** 2 - 1)))
            outcome = Outcome.CANNOT_TELL
            sentence = f"Cannot tell whether {metric.title} holds: {numbers}; {tail[:-1]}; about {more:,} more labels would tell."
        else:
            outcome, sentence = Outcome.OK, f"{name} holds: {numbers}; {tail}"
        return view.finding(
            NAME,
            metric.value,
            outcome,
            sentence,
            n=measured.n,
            measured=measured.estimate,
            low=measured.low,
            high=measured.high,
            limit=limit,
        )

    def _unknown(self, view: MonitorContext, sentence: str, n: int) -> Finding:
        return view.finding(NAME, view.contract.objective.metric.value, Outcome.CANNOT_TELL, sentence, n=n)


def _hint(judged: LabelledPredictions) -> str:
    """A metric that is undefined on many labels lacks one class: as many again as it takes to expect a few of it."""
    return f"{max(50, len(np.asarray(judged.y_true))):,}"
