"""Is the model good enough on rows it has never seen, better than what costs less, and not too good to be true?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log
from statistics import NormalDist
from typing import ClassVar, Final

from modelmark.domain.catalogue.gate_settings import HoldoutGate
from modelmark.domain.evidence import Bound, Check, Limit, Table, Verdict
from modelmark.domain.metrics import LOSSES, Metric, amount
from modelmark.gates.case import Case
from modelmark.gates.common.evaluation_set import EvaluationSet, cap, check_of, evaluation_set_of, guardrail_checks
from modelmark.gates.common.giveaway import alone, believable, giveaway_check
from modelmark.gates.gate import GateProgress, Measurement
from modelmark.gates.holdout import charts
from modelmark.gates.holdout.challengers import challengers, compare, worse_end
from modelmark.gates.holdout.selected import hardly_selected
from modelmark.gates.holdout.split import split_checks
from modelmark.stats.bootstrap import Interval
from modelmark.stats.metrics import TOPPED, measure
from modelmark.stats.reuse import kth_confidence, stretched, used_up

#: Of the probe for inputs that give the answer away, where the contract has no leakage gate to ask.
SINGLE_COLUMN: Final = 0.995


@dataclass(frozen=True, slots=True)
class Holdout:
    """Every figure with its n and interval; every comparison paired on the same rows."""

    settings: HoldoutGate
    name: ClassVar[str] = "holdout"
    alone: ClassVar[bool] = False
    quick: ClassVar[bool] = True
    settled: ClassVar[bool] = True

    def measure(self, case: Case, progress: GateProgress) -> Measurement:
        evaluation = evaluation_set_of(case)
        contract, metric = case.contract, case.contract.objective.metric
        ours = evaluation.measure(metric, evaluation.judged, self.settings.confidence)
        progress(1, 5)
        others = list(challengers(case, evaluation, self.settings.champion_margin))
        floor = others[0].name, measure(metric, evaluation.of(others[0].scores))
        progress(2, 5)
        shown, checks = {case.version.label: ours}, []
        for challenger in others:
            shown[challenger.name] = evaluation.measure(
                metric, evaluation.of(challenger.scores), self.settings.confidence
            )
            theirs = shown[challenger.name]
            checks.append(compare(challenger, theirs, evaluation, self.settings.confidence, case.earlier_looks))
        alike = checks[0].verdict is Verdict.CANNOT_TELL
        checks.insert(0, self._objective(case, ours, floor, evaluation.scarce(), alike))
        progress(3, 5)
        checks += [*hardly_selected(evaluation), *self._kept_here(case, evaluation)]
        checks += self._believable(metric, evaluation, ours)
        checks += [
            *split_checks(case, self.settings, amount(metric, self.settings.max_flattery, ours.estimate)),
            *self._worn(case, metric, ours),
        ]
        progress(4, 5)
        return Measurement(
            checks=tuple(checks),
            notes=(*evaluation.notes(), *_notes(case)),
            figures=(charts.intervals(metric.title, shown), *charts.quality(contract, evaluation.judged)),
            tables=(_table(metric, shown),),
        )

    def _objective(self, case: Case, ours: Interval, floor: tuple[str, float], scarce: str, alike: bool) -> Check:
        """floor: the best fixed answer and its value; alike: whether the two cannot be told apart. scarce: what to say of
        a rare class, if anything."""
        metric, looks = case.contract.objective.metric, case.earlier_looks
        sentence = f"{cap(metric.title)} {ours} on {ours.n:,} rows{f' ({scarce})' if scarce else ''}"
        bound = Bound.AT_MOST if metric in LOSSES else Bound.AT_LEAST
        if self.settings.minimum is None:
            limit = Limit(bound=bound, value=floor[1])
            sentence += f"; {floor[0]} gives {floor[1]:.4g}."
            measured = None if alike and not limit.holds(ours.estimate) else ours.estimate
            return check_of("objective", measured, ours, limit, sentence, key="objective")
        ours = stretched(ours, kth_confidence(self.settings.confidence, looks + 1))
        worse = worse_end(metric, ours)
        limit = Limit(bound=bound, value=self.settings.minimum)
        verb = "holds" if limit.holds(worse) else "does not hold"
        at = f", {worse:.4g} at {100 * ours.confidence:.4g}% after {looks:,} other versions," if looks else ""
        return check_of(
            "objective",
            worse,
            ours,
            limit,
            f"{sentence}; the interval's worse end{at} {verb} {limit}.",
            key="objective",
        )

    def _kept_here(self, case: Case, evaluation: EvaluationSet) -> Iterator[Check]:
        """What gates of their own judge, where the contract asks for those; no contract may lose it."""
        if case.contract.gates.objective is None:
            yield from guardrail_checks(case, evaluation, self.settings.confidence)
        if case.contract.gates.leakage is None and self.settings.suspicious < 1:
            yield giveaway_check(alone(case, evaluation), evaluation, min(SINGLE_COLUMN, self.settings.suspicious))

    def _believable(self, metric: Metric, evaluation: EvaluationSet, ours: Interval) -> Iterator[Check]:
        if metric in TOPPED:
            limit = Limit(bound=Bound.AT_MOST, value=self.settings.suspicious)
            words = f"The model reaches {metric.title}", "too good to be true, a leak until someone explains it"
            yield believable("believable", metric, evaluation.judged, evaluation, ours, limit, words)

    def _worn(self, case: Case, metric: Metric, ours: Interval) -> Iterator[Check]:
        """The best of many candidates on one holdout flatters: its luck was chosen with it (Blum & Hardt 2015)."""
        looks = case.earlier_looks
        if not looks:
            return
        error = (ours.high - ours.low) / (2 * NormalDist().inv_cdf((1 + ours.confidence) / 2))
        luck = (2 * log(looks + 1)) ** 0.5 * error
        sign = 1 if metric in LOSSES else -1
        limit = Limit(bound=Bound.AT_MOST, value=self.settings.worn_after)
        tail = f"; {used_up(looks + 1):.0%} of what may go wrong by chance on these rows is used up"
        tail += "" if limit.holds(looks) else ": they are worn, so keep back rows that nobody has judged on yet"
        sentence = (
            f"This holdout has judged {looks:,} other version{'s' if looks > 1 else ''}; if this is the best of "
            f"{looks + 1:,} equally good ones, chance alone flatters by up to about {luck:.2g}, so read "
            f"{metric.title} as {ours.estimate + sign * luck:.4g} at worst{tail}."
        )
        yield Check(
            name="looks at this holdout", measured=looks, n=ours.n, limit=limit, sentence=sentence, decides=False
        )


def _notes(case: Case) -> Iterator[str]:
    yield "Every comparison must hold, so none is corrected for their number: more of them make a pass rarer, not easier."
    if case.champion is not None:
        yield "The champion is compared by non-inferiority: the paired interval's lower end against the margin agreed beforehand."


def _table(metric: Metric, shown: Mapping[str, Interval]) -> Table:
    rows = tuple((name, f"{i.estimate:.4g}", f"{i.low:.4g} to {i.high:.4g}", i.n) for name, i in shown.items())
    return Table(
        title=f"{cap(metric.title)} of the model and its challengers",
        columns=("who", metric.title, "interval", "rows"),
        rows=rows,
    )
