"""Is one input alone nearly the target, and is a score too good to be true? Few rows can be perfect by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.metrics import Metric, Task
from modelmark.gates.case import Case, truth_of
from modelmark.gates.common import baselines
from modelmark.gates.common.evaluation_set import EvaluationSet, check_of
from modelmark.stats.bootstrap import Interval
from modelmark.stats.delong import lowest_perfect
from modelmark.stats.metrics import LabelledPredictions, measure
from modelmark.stats.rates import wilson

#: A sound model or input may be this good; where rows are so few that it may look perfect, nothing can be told.
_SOUND: Final = 0.95
_RANKED: Final = (Metric.ROC_AUC, Metric.AVERAGE_PRECISION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """How well a small tree that sees one input predicts the holdout: values per input, best first.

    What cannot be measured, as on rows of one class, is None and comes last.
    """

    probe: Metric
    values: Mapping[str, float | None]
    strongest: LabelledPredictions


def alone(case: Case, evaluation: EvaluationSet) -> Alone:
    probe = {Task.BINARY: Metric.ROC_AUC, Task.MULTICLASS: Metric.BALANCED_ACCURACY}.get(
        evaluation.judged.task, Metric.R2
    )
    each = baselines.single_columns(case.contract, case.train, truth_of(case.train, case.contract), case.holdout)
    values = {name: measure(probe, evaluation.of(scores)) for name, scores in each.items()}
    best = sorted(values, key=lambda name: -values[name] if np.isfinite(values[name]) else np.inf)
    ordered = {name: values[name] if np.isfinite(values[name]) else None for name in best}
    return Alone(probe=probe, values=ordered, strongest=evaluation.of(each[next(iter(ordered))]))


def giveaway_check(found: Alone, evaluation: EvaluationSet, suspicious: float) -> Check:
    """The strongest input against the score that only the target itself would reach, at its interval's lower end."""
    name, value = next(iter(found.values.items()))
    limit, title = Limit(bound=Bound.AT_MOST, value=suspicious), "no input gives the answer away"
    if value is None:
        why = evaluation.scarce() or "nothing varies in them"
        sentence = (
            f"Cannot tell whether an input gives the answer away: {found.probe.title} of no input can be measured "
            f"on {len(evaluation.rows):,} rows; {why}."
        )
        return Check(name=title, measured=None, limit=limit, n=len(evaluation.rows), sentence=sentence, decides=False)
    sentence = f"The strongest input alone, {name}, reaches {found.probe.title}"
    try:
        interval = evaluation.measure(found.probe, found.strongest, 0.95)
    except NotEnoughData as error:
        sentence = f"{sentence} {value:.4g}; cannot tell whether by chance: {error.message}."
        return Check(name=title, measured=None, limit=limit, n=len(evaluation.rows), sentence=sentence, decides=False)
    leak = f"{name} is the target in disguise, a leak until someone explains it"
    return believable(title, found.probe, found.strongest, evaluation, interval, limit, (sentence, leak))


def believable(
    name: str,
    metric: Metric,
    subject: LabelledPredictions,
    evaluation: EvaluationSet,
    found: Interval,
    limit: Limit,
    words: tuple[str, str],
) -> Check:
    """A score against what is too good to be true; words: what reaches it, and what it is then.

    By its interval's lower end; without a single error by itself, where a sound model would surely make one.
    """
    sentence = f"{words[0]} {found} on {found.n:,} rows"
    said = found.estimate if found.estimate == 1 else found.low
    if limit.holds(said):
        return check_of(name, said, found, limit, f"{sentence}.")
    surely = _surely(metric, subject, evaluation.units)
    if surely <= _SOUND:
        more = max(1, round(found.n * ((1 - surely) / (1 - _SOUND) - 1)))
        sentence += (
            f"; cannot tell whether by chance, from {surely:.3g} on so few may; about {more:,} more labels needed"
        )
        return check_of(name, None, found, limit, f"{sentence}.", decides=False)
    return check_of(name, said, found, limit, f"{sentence}: {words[1]}.")


def _surely(metric: Metric, subject: LabelledPredictions, units: NDArray[np.int64] | None) -> float:
    """The lowest true value under which so few rows, or groups of them, being all right is no surprise."""
    if metric is Metric.R2:
        return 1.0  # no rows but those of the target itself agree to the last digit
    places = np.arange(len(subject.y_true)) if units is None else units
    classes = [len(np.unique(places[subject.y_true == c])) for c in np.unique(subject.y_true)]
    if metric in _RANKED:
        return lowest_perfect(min(classes), max(classes))
    few = len(np.unique(places)) if metric is Metric.ACCURACY else min(classes)
    return wilson(few, few)[0]
