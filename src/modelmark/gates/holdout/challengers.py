"""The model against what costs less and against what serves today, each on the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.timestamps import timestamps
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Bound, Check, Limit
from modelmark.domain.metrics import LOSSES, Metric, amount
from modelmark.gates.case import Array, Case, truth_of
from modelmark.gates.common import baselines
from modelmark.gates.common.evaluation_set import EvaluationSet, check_of
from modelmark.gates.gate import MORE_THAN_NOTHING
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import LabelledPredictions, measure
from modelmark.stats.rates import more_needed, would_tell
from modelmark.stats.reuse import kth_confidence, stretched

if TYPE_CHECKING:
    import pandas as pd

LINEAR: Final = "a linear model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenger:
    """scores: of the whole holdout. required: the least paired gain. champion: not to be worse than by a margin."""

    name: str
    scores: Array
    required: float
    champion: bool = False


def challengers(case: Case, evaluation: EvaluationSet, margin: float) -> Iterator[Challenger]:
    """The best fixed answer, then no change (in time), a linear model, and the champion."""
    contract = case.contract
    train_truth = truth_of(case.train, contract)
    name, scores = baselines.constant(contract, train_truth, len(case.holdout))
    yield Challenger(name=name, scores=scores, required=MORE_THAN_NOTHING)
    if contract.data.time is not None:
        ordered = np.full_like(case.scores, np.nan)
        ordered[evaluation.rows] = baselines.no_change(
            contract, _in_time(case.train, train_truth, contract), evaluation.judged.y_true
        )
        yield Challenger(name="no change (the label before)", scores=ordered, required=MORE_THAN_NOTHING)
    linear = baselines.linear(contract, case.train, train_truth, case.holdout)
    # To be clearly better it must gain a tenth more over the fixed answer; less is regularisation, or luck of the fit.
    metric = contract.objective.metric
    gained = measure(metric, evaluation.of(linear)) - measure(metric, evaluation.of(scores))
    yield Challenger(name=LINEAR, scores=linear, required=-0.1 * abs(gained) if np.isfinite(gained) else 0.0)
    if case.champion is not None and case.champion_scores is not None:
        name = f"the champion {case.champion.label}"
        serves = measure(metric, evaluation.of(case.champion_scores))
        yield Challenger(
            name=name, scores=case.champion_scores, required=-amount(metric, margin, serves), champion=True
        )


def _in_time(train: pd.DataFrame, y_true: NDArray[np.int64] | Array, contract: Contract) -> NDArray[np.int64] | Array:
    time = contract.data.time
    return y_true[np.argsort(timestamps(train[time]), kind="stable")] if time in train else y_true


def compare(
    challenger: Challenger, theirs: Interval, evaluation: EvaluationSet, confidence: float, looks: int = 0
) -> Check:
    """The paired gain over a challenger against what is required of it. looks: how many versions were judged on these rows
    before: the best of many beats a champion by luck."""
    metric = evaluation.contract.objective.metric
    subject = evaluation.of(challenger.scores)
    found = evaluation.gain(metric, evaluation.judged, subject, confidence)
    if challenger.champion:
        found = stretched(found, kth_confidence(confidence, looks + 1))
    limit = Limit(bound=Bound.AT_LEAST, value=challenger.required)
    if found.low > 0:
        words = "is better than"
    elif found.high < 0:
        words = "is worse than"
    else:
        words = "cannot be told apart from"
    theirs_is = f"{metric.title} {theirs.estimate:.4g}"
    sentence = f"The model {words} {challenger.name} ({theirs_is}): paired gain {found} on {found.n:,} rows"
    sentence += _mcnemar(metric, evaluation, subject)
    if challenger.name == LINEAR:
        # A model may be no better than a linear one (it may be one); it must not be clearly worse.
        return check_of(f"against {challenger.name}", found.high, found, limit, sentence + ".")
    measured: float | None = found.low
    if challenger.champion:
        sentence += f"; up to {-challenger.required:.4g} worse is tolerated"
    if not limit.holds(found.low) and found.high >= max(challenger.required, 0.0):
        # Neither shown to hold nor shown to fail: more labels would tell.
        measured = None
        # Were the estimate true, or nought where it is below the line.
        room = max(found.estimate, 0.0) - challenger.required
        more = more_needed(found.n, found.estimate - found.low, room)
        what = "the margin holds" if challenger.champion else "it is better at all"
        sentence = f"Cannot tell whether {what}; {would_tell(found.n, more)}. {sentence}"
    return check_of(f"against {challenger.name}", measured, found, limit, sentence + ".")


def _mcnemar(metric: Metric, evaluation: EvaluationSet, subject: LabelledPredictions) -> str:
    """For accuracy of independent rows: the exact test on the rows that only one of the two gets right."""
    if metric is not Metric.ACCURACY or evaluation.units is not None:
        return ""
    from scipy.stats import binomtest

    ours, theirs = (side.decisions() == side.y_true for side in (evaluation.judged, subject))
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p_value = binomtest(won, won + lost).pvalue if won + lost else 1.0
    return f" ({won:,} rows only the model gets right, {lost:,} only the other; McNemar p = {p_value:.2g})"


def worse_end(metric: Metric, found: Interval) -> float:
    """The end that a limit on the metric is judged by."""
    return found.high if metric in LOSSES else found.low
