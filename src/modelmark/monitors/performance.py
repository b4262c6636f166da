"""Live performance: is the objective on labelled rows still what the holdout promised?

Rows are judged by when they were predicted, once labels usually have come for them or nearly all have one; where there are
none such yet, by the labels that came first, and the sentence says so. Where few labels come, or they cannot tell, more of
the past is looked at. Each such further look halves how often its interval may err, so that all of them together err
at most twice as often as one.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import numpy as np

from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.errors import Unmeasured
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Direction
from modelmark.monitors.cohort import Cohort, with_labels
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.bootstrap import Interval, interval, times_for
from modelmark.stats.metrics import LabelledPredictions, statistic

NAME: Final = "performance"
_TIMES: Final = 400
_EARLY: Final = "More labels of these rows are due, and those that come first need not be typical."


class Performance:
    """One finding, about the objective."""

    name = NAME

    def __init__(self, settings: PerformanceMonitor) -> None:
        self._settings = settings

    def evaluate(self, view: MonitorContext) -> list[Finding]:
        metric, least = view.contract.objective.metric, self._settings.min_labels
        if view.baseline is None:
            n = max((cohort.labels for cohort in view.cohorts), default=0)
            sentence = f"Cannot tell whether {metric.title} fell: the holdout's value is not known."
            return [self._unknown(view, sentence, n)]
        found: Finding | None = None
        for widened, cohort in enumerate(with_labels(view.cohorts, least)):
            found = self._judge(view, cohort, view.baseline, widened)
            if found.outcome is not Outcome.CANNOT_TELL:
                break
        return [found or self._too_few(view, max(view.cohorts, key=lambda cohort: cohort.labels, default=None))]

    def _judge(self, view: MonitorContext, cohort: Cohort, baseline: float, widened: int) -> Finding:
        """widened: how many narrower cohorts could not tell."""
        metric, judged = view.contract.objective.metric, cohort.read()
        n = 0 if judged is None else len(judged.y_true)
        if judged is None or n < self._settings.min_labels:
            return self._too_few(view, cohort, n)
        confidence = 1 - (1 - self._settings.confidence) / 2**widened
        times = times_for(n) if widened else _TIMES
        try:
            measured = interval(statistic(metric, judged), n, confidence=confidence, times=times, seed=0)
        except Unmeasured as error:
            said = f"{n:,} labels of {cohort}: {error.message}; about {_hint(judged)} more"
            return self._unknown(view, f"Cannot tell whether {metric.title} holds on {said}.", n)
        return self._finding(view, measured, baseline, cohort, judged.drawn_from)

    def _too_few(self, view: MonitorContext, widest: Cohort | None, n: int | None = None) -> Finding:
        """n: how many labels can be judged, where that is known."""
        title, labels = view.contract.objective.metric.title, (widest.labels if widest else 0) if n is None else n
        of = f" of {widest}" if widest and labels else ""
        more = max(1, self._settings.min_labels - labels)
        sentence = f"Cannot tell whether {title} holds: {labels:,} labels{of}; about {more:,} more would tell."
        return self._unknown(view, sentence, labels)

    def _finding(
        self, view: MonitorContext, measured: Interval, baseline: float, cohort: Cohort, drawn_from: int = 0
    ) -> Finding:
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
            f"({100 * measured.confidence:.4g}% interval {measured.low:.3f} to {measured.high:.3f}) of {cohort}"
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
            sentence if cohort.mature else f"{sentence} {_EARLY}",
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
