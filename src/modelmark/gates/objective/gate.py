"""Is the release worth what was agreed, and is nothing traded away for the metric?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.catalogue.gate_settings import ObjectiveGate
from modelmark.domain.contract import Contract
from modelmark.domain.errors import NotEnoughData
from modelmark.domain.evidence import Bound, Check, Figure, Limit, Table
from modelmark.domain.metrics import Metric, amount
from modelmark.gates.case import Array, Case, truth_of
from modelmark.gates.common import baselines
from modelmark.gates.common.evaluation_set import (
    EvaluationSet,
    check_of,
    evaluation_set_of,
    guardrail_checks,
    validation_set,
)
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.objective.charts import cost_by_threshold
from modelmark.stats import thresholds
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import measure

COST = Metric.EXPECTED_COST


@dataclass(frozen=True, slots=True)
class ObjectiveValue:
    """Guardrails at their limits, value under the costs, harm against the champion, and the threshold."""

    settings: ObjectiveGate
    name: ClassVar[str] = "objective"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        evaluation = evaluation_set_of(case)
        checks = guardrail_checks(case, evaluation, self.settings.confidence)
        progress(1, 4)
        checks += self._value(case, evaluation)
        progress(2, 4)
        harms, table = self._harm(case, evaluation)
        checks += harms
        progress(3, 4)
        checks += self._threshold(case, evaluation)
        if not checks:
            raise NotEnoughData("the contract names neither a guardrail nor costs", code="NOTHING_AGREED")
        return Measurement(
            checks=tuple(checks),
            notes=(*evaluation.notes(), *_notes(case, table)),
            figures=tuple(_figures(case, evaluation, self.settings.confidence)),
            tables=table,
        )

    def _value(self, case: Case, evaluation: EvaluationSet) -> Iterator[Check]:
        """The expected cost against the cheaper of always yes and always no; to be surely dearer is a failure."""
        if case.contract.objective.costs is None:
            return
        costs = _priced(case)
        train = truth_of(case.train, case.contract)
        _, fixed = baselines.constant(costs, train, len(case.holdout))
        ours = evaluation.measure(COST, evaluation.judged, self.settings.confidence)
        saved = evaluation.gain(COST, evaluation.judged, evaluation.of(fixed), self.settings.confidence)
        limit = Limit(bound=Bound.AT_LEAST, value=0)
        tail = ""
        if saved.high < 0:
            tail = ": deciding the same for everybody is cheaper"
        elif saved.low <= 0:
            tail = ", which is neither surely a saving nor surely a loss"
        sentence = (
            f"Expected cost {ours} per row on {ours.n:,} rows at threshold {case.contract.outputs.threshold:g}; "
            f"it saves {saved} per row over the cheaper fixed decision{tail}."
        )
        yield check_of("value", saved.high, saved, limit, sentence)

    def _harm(self, case: Case, evaluation: EvaluationSet) -> tuple[list[Check], tuple[Table, ...]]:
        """Each guardrail (and the value) paired with the champion's, Bonferroni over all of them."""
        contract = case.contract
        metrics = [rail.metric for rail in contract.guardrails]
        if contract.objective.costs is not None and COST not in (*metrics, contract.objective.metric):
            metrics.append(COST)
        if case.champion is None or case.champion_scores is None or not metrics:
            return [], ()
        theirs = evaluation.of(case.champion_scores)
        confidence = 1 - (1 - self.settings.harm_confidence) / len(metrics)
        won = evaluation.gain(contract.objective.metric, evaluation.judged, theirs, self.settings.confidence)
        checks, rows = [], []
        for metric in metrics:
            found = evaluation.gain(metric, evaluation.judged, theirs, confidence)
            margin = amount(metric, self.settings.harm_margin, measure(metric, theirs))
            checks.append(self._harmed(case, metric, found, won, margin))
            rows.append((metric.title, f"{found.estimate:.4g}", f"{found.low:.4g} to {found.high:.4g}", found.n))
        objective = contract.objective.metric.title
        rows.insert(0, (objective, f"{won.estimate:.4g}", f"{won.low:.4g} to {won.high:.4g}", won.n))
        title = f"Gain over the champion {case.champion.label}, above 0 is better"
        return checks, (Table(title=title, columns=("what", "gain", "interval", "rows"), rows=tuple(rows)),)

    def _harmed(self, case: Case, metric: Metric, found: Interval, won: Interval, margin: float) -> Check:
        label = case.champion.label if case.champion else "nobody"
        objective, what = case.contract.objective.metric.title, _called(metric)
        limit = Limit(bound=Bound.AT_LEAST, value=-margin)
        if won.low > 0:
            first = f"The version wins on the objective ({objective}, gain {won})"
        elif won.high < 0:
            first = f"The version loses on the objective ({objective}, gain {won})"
        else:
            first = f"The version cannot be told apart on the objective ({objective}, gain {won})"
        harmed = not limit.holds(found.high)
        link = "but harms" if harmed and won.low > 0 else "and harms" if harmed else "and does not surely harm"
        sentence = (
            f"{first} {link} {what}: gain {found} over the champion {label} on {found.n:,} rows"
            f"{'; it is held' if harmed else ''}."
        )
        return check_of(f"no harm to {metric.value}", found.high, found, limit, sentence)

    def _threshold(self, case: Case, evaluation: EvaluationSet) -> Iterator[Check]:
        """The contract's threshold against the cheapest one, on validation rows only."""
        costs, at = case.contract.objective.costs, case.contract.outputs.threshold
        if costs is None:
            return
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.max_regret)
        judged = validation_set(case)
        if judged is None:
            sentence = (
                f"Cannot tell whether the threshold {at:g} is a cheap one: the contract names no data.validation, "
                f"and a threshold is never chosen on the holdout."
            )
            yield Check(name="threshold", measured=None, limit=limit, sentence=sentence, decides=False)
            return
        score, positive = _sides(judged)
        best, price = thresholds.cheapest(score, positive, costs)
        extra = thresholds.regret(score, positive, at, costs, units=judged.units, confidence=self.settings.confidence)
        # Not the price: gains and costs may cancel in it, and then any regret would be many times as much.
        stake = float(np.abs(thresholds.cost_rows(score, positive, best, costs)).mean()) or 1.0
        found = Interval(
            estimate=extra[0] / stake, low=extra[1] / stake, high=extra[2] / stake, n=len(score),
            confidence=self.settings.confidence,
        )  # fmt: skip
        good = limit.holds(found.low)
        words = "is not surely dearer than tolerated" if good else f"is too dear: set outputs.threshold to {best:.3g}"
        sentence = (
            f"On {len(score):,} validation rows the cheapest threshold is {best:.3g} (cost {price:.4g} per row, "
            f"{stake:.4g} at stake); the contract's {at:g} costs {found.estimate:.1%} [{found.low:.1%}, {found.high:.1%}] of "
            f"the stake more and {words}."
        )
        yield check_of("threshold", max(0.0, found.low), found, limit, sentence)


def _priced(case: Case) -> Contract:
    """The contract as if its metric were the cost: what baselines are asked with."""
    return replace(case.contract, objective=replace(case.contract.objective, metric=COST))


def _called(metric: Metric) -> str:
    return "the value (expected cost)" if metric is COST else f"guardrail {metric.title}"


def _sides(evaluation: EvaluationSet) -> tuple[Array, NDArray[np.bool_]]:
    """(score, is positive) of a binary task."""
    judged = evaluation.judged
    return judged.scores[:, judged.positive], np.asarray(judged.y_true) == judged.positive


def _notes(case: Case, table: tuple[Table, ...]) -> Iterator[str]:
    if table:
        yield "Intervals against the champion are widened for their number (Bonferroni); only a sure harm holds a version."
    if case.contract.objective.costs is not None:
        yield "The curve of costs on the holdout is for reading; thresholds are chosen on data.validation."


def _figures(case: Case, evaluation: EvaluationSet, confidence: float) -> Iterator[Figure]:
    costs = case.contract.objective.costs
    if costs is None:
        return
    score, positive = _sides(evaluation)
    found = thresholds.curve(score, positive, costs, units=evaluation.units, confidence=confidence)
    yield cost_by_threshold(found, case.contract.outputs.threshold, "the holdout", len(score))
