"""Live performance: is the objective on labelled rows still what the holdout promised?

Rows are judged by when they were predicted, once labels usually have come for them or nearly all have one; where there are
none such yet, by the labels that came first, and the sentence says so. Where few labels come, or they cannot tell, more of
the past is looked at.

With an alarm budget all labels are also looked at as one sequence, which finds small losses that no window can tell.

Somebody is told when the objective is surely worse over all looks of a month, wider ones included: a quiet month alarms as
seldom as one look would. The holdout's figure is an estimate too, and the same one at every look, so its doubt is added to that
of the labels.
"""

from __future__ import annotations

from math import isfinite
from statistics import NormalDist
from typing import Final

from modelmark.domain.catalogue.monitor_settings import PerformanceMonitor
from modelmark.domain.classes import class_text
from modelmark.domain.errors import Unmeasured
from modelmark.domain.finding import Finding, Outcome
from modelmark.domain.metrics import Direction, Metric, amount
from modelmark.monitors.cohort import Cohort, with_labels
from modelmark.monitors.monitor import MonitorContext
from modelmark.stats.bootstrap import Interval
from modelmark.stats.intervals import metric_interval, rests_on
from modelmark.stats.looks import reach
from modelmark.stats.metrics import LabelledPredictions, unit_losses
from modelmark.stats.rates import would_tell
from modelmark.stats.watching.detector import by_unit, detect

NAME: Final = "performance"
#: Of the class whose rows say how sure a metric is; of fewer nothing is said.
LEAST_OF_A_CLASS: Final = 10
#: Of the alarm budget; windows of labels, and of estimates, err once in forty budgets each.
SEQUENCE_SHARE: Final = 0.9
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
        for cohort in with_labels(view.cohorts, least):
            found = self._judge(view, cohort, view.baseline)
            if found.outcome is not Outcome.CANNOT_TELL:
                break
        found = found or self._too_few(view, max(view.cohorts, key=lambda cohort: cohort.labels, default=None))
        return [found if found.outcome is Outcome.ALERT else self._as_one_sequence(view, view.baseline) or found]

    def _as_one_sequence(self, view: MonitorContext, baseline: float) -> Finding | None:
        """Of all labels in order, what an e-detector says that keeps to the budget. None where it does not alarm, there is no
        budget, or the metric is no mean of bounded losses."""
        budget, metric, known = (
            view.contract.monitors.alarm_budget,
            view.contract.objective.metric,
            view.baseline_interval,
        )
        history = view.observed.history if budget else None
        losses = unit_losses(metric, history.judged) if history else None
        if budget is None or history is None or losses is None:
            return None
        each, low, scale = losses
        sequence, limit = by_unit(each, history.judged.units), self._limit(view, baseline)
        worst = limit - self._sign(view) * (
            _doubt(known, self._sign(view), self._settings.confidence) if known else 0.0
        )
        tolerated = ((1 - worst if metric is Metric.ACCURACY else worst) - low) / scale
        if len(sequence) < self._settings.min_labels or not 0 < tolerated < 1:
            return None
        apart = budget.days / SEQUENCE_SHARE
        days = max((history.end - history.start).total_seconds() / 86_400, 1 / 24)
        found = detect(sequence, tolerated, max(apart * len(sequence) / days, 2.0))
        if not found.alarms:
            return None
        mean, n = low + scale * found.mean, len(sequence) - found.since
        measured = 1 - mean if metric is Metric.ACCURACY else mean
        sentence = (
            f"{metric.title[:1].upper()}{metric.title[1:]} is worse than promised: {measured:.3f} on the last {n:,} of "
            f"{len(sequence):,} labels in a row; holdout {baseline:.3f}, tolerated with its own doubt to {worst:.3f}; if it held, "
            f"labels would look like this at most once in {apart:.0f} days."
        )
        return view.finding(NAME, metric.value, Outcome.ALERT, sentence, n=n, measured=measured, limit=limit)

    def _sign(self, view: MonitorContext) -> float:
        return 1.0 if view.contract.objective.direction is Direction.MAXIMISE else -1.0

    def _limit(self, view: MonitorContext, baseline: float) -> float:
        metric = view.contract.objective.metric
        return baseline - self._sign(view) * amount(metric, self._settings.tolerance, baseline)

    def _judge(self, view: MonitorContext, cohort: Cohort, baseline: float) -> Finding:
        metric, judged = view.contract.objective.metric, cohort.read()
        n = 0 if judged is None else len(judged.y_true)
        if judged is None or n < self._settings.min_labels:
            return self._too_few(view, cohort, n)
        try:
            if why := _lacking(view, metric, judged):
                raise Unmeasured(why)
            measured = metric_interval(metric, judged, self._settings.confidence, units=judged.units, times=_TIMES)
        except Unmeasured as error:
            sentence = f"Cannot tell whether {metric.title} holds on {n:,} labels of {cohort}: {error.message}."
            return self._unknown(view, sentence, n)
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
        """Alert only when the objective is surely worse than on the holdout by more than tolerated, whatever other looks said.
        drawn_from: as `LabelledPredictions` has it."""
        metric, known = view.contract.objective.metric, view.baseline_interval
        sign, limit = self._sign(view), self._limit(view, baseline)
        gap = sign * (limit - measured.estimate)  # how far on the wrong side
        doubt = abs((measured.high if sign > 0 else measured.low) - measured.estimate) * _reach(view, measured)
        theirs = _doubt(known, sign, measured.confidence) if known else 0.0
        name = metric.title[:1].upper() + metric.title[1:]
        numbers = (
            f"{measured.estimate:.3f} on {measured.n:,} labels{f' drawn at random of {drawn_from:,}' if drawn_from else ''} "
            f"({100 * measured.confidence:.4g}% interval {measured.low:.3f} to {measured.high:.3f}) of {cohort}"
        )
        promised = f"{baseline:.3f}"
        if known and known.n:
            promised += f" ({known.low:.3f} to {known.high:.3f} on {known.n:,} rows)"
        tail = f"holdout {promised}, tolerated {'down' if sign > 0 else 'up'} to {limit:.3f}"
        if gap > doubt + theirs:
            outcome, sentence = (
                Outcome.ALERT,
                f"{name} is worse than promised: {numbers}; {tail}; sure over all looks of a month.",
            )
        elif gap > 0:
            outcome = Outcome.CANNOT_TELL
            sentence = (
                f"Cannot tell whether {metric.title} holds: {numbers}; {tail}; not yet sure over all looks of a month; "
                f"{_more(measured.n, doubt, theirs, gap)}."
            )
        else:
            outcome, sentence = Outcome.OK, f"{name} holds: {numbers}; {tail}."
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


def _lacking(view: MonitorContext, metric: Metric, judged: LabelledPredictions) -> str:
    """What to say where too few rows are of the class that the metric hangs on; else nothing."""
    found = rests_on(metric, judged)
    if found is None or found[1] >= LEAST_OF_A_CLASS:
        return ""
    (place, rows), n = found, len(judged.y_true)
    name = class_text(view.contract.outputs.classes[place])
    if not rows:
        return f"none of them is “{name}”, and only labels of that class would tell"
    return f"only {rows} of them {'is' if rows == 1 else 'are'} “{name}”; {would_tell(n, n * (LEAST_OF_A_CLASS - rows) // rows)}"


def _reach(view: MonitorContext, measured: Interval) -> float:
    settings = view.contract.monitors
    minutes = settings.every_seconds / 60
    return reach(measured.confidence, window=settings.window_minutes, every=minutes, span=settings.budget_minutes)


def _doubt(known: Interval, sign: float, confidence: float) -> float:
    """How much worse than measured the holdout's figure may be, at another confidence than its own."""
    asked, own = (NormalDist().inv_cdf((1 + c) / 2) for c in (confidence, known.confidence))
    return abs(known.estimate - (known.low if sign > 0 else known.high)) * asked / own


def _more(n: int, ours: float, theirs: float, gap: float) -> str:
    """How many more labels would bring the doubt of both down to the gap, if widths go with 1 / sqrt(n)."""
    room = gap - theirs
    if not isfinite(ours) or room <= 0:
        return "the holdout's own figure is too unsure for labels to tell"
    return would_tell(n, max(1, round(n * ((ours / room) ** 2 - 1))))
