"""From what came of the arms to *better*, *no worse*, *harm* or *need about N more units*; valid however often it is asked.

The chance of a false decision is one budget. Half of it is the objective's, over all arms and both sides; half the guardrails',
over all arms. Without guardrails of its own an experiment still has one: requests that fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.experiments.plan import SHARES, ExperimentPlan, Guardrail, Objective, called, sign_of
from modelmark.domain.experiments.reading import ExperimentReading, Finding, MeasureReading
from modelmark.domain.rollouts.verdict import Decision
from modelmark.journal.tables.experiments import ExperimentSums, MeasureSums
from modelmark.rollouts.evidence import Failures
from modelmark.rollouts.verdict import failing
from modelmark.stats.experiments.effects import NotComputable, bounds, effect
from modelmark.stats.experiments.moments import matched
from modelmark.stats.experiments.power import more_units
from modelmark.stats.experiments.sample_ratio import sequential_p
from modelmark.stats.sequences import share_at_least, share_at_most

#: The guardrail that every experiment has: this share of the requests more may fail.
FAILED: Final = "failed requests"
FAILED_MARGIN: Final = 0.01
#: Fewer units than this with, or without, what a share counts: its variance says nothing, and it is bounded exactly.
RARE: Final = 10
#: What a bound is made for where no difference is tolerated, as a share of the control's value.
_NO_MARGIN: Final = 0.01


@dataclass(frozen=True, slots=True)
class Budget:
    """The chances, each of one bound of one arm: of the objective, and of a guardrail."""

    objective: float
    guardrail: float


def budget(plan: ExperimentPlan) -> Budget:
    arms = max(len(plan.treatments), 1)
    half = plan.false_decision_rate / 2
    return Budget(half / (2 * arms), half / (arms * (len(plan.guardrails) + 1)))


def judge(
    plan: ExperimentPlan,
    seen: ExperimentSums,
    *,
    arms: Mapping[str, str],
    began: datetime,
    now: datetime,
    doubted: float = 1.0,
) -> ExperimentReading:
    """arms: what records call each arm, the control first. doubted: the sample ratio's chance at the look before."""
    counts = {arm: seen.units.get(told, 0) for arm, told in arms.items()}
    total, joint = sum(counts.values()), sum(arm.share for arm in plan.arms)
    ratio = sequential_p(
        [counts[arm.name] for arm in plan.arms], [arm.share / joint for arm in plan.arms], before=doubted
    )
    told = _told(plan, seen, total)
    if ratio <= plan.sample_ratio_alpha:
        return ExperimentReading(
            at=now, finding=Finding.MISMATCH, sentence=f"{_mismatch(plan, counts, total)} {told}".strip(), units=counts,
            contaminated=seen.contaminated, nameless=seen.nameless, sample_ratio=ratio,
        )  # fmt: skip
    measures = tuple(_measures(plan, seen, arms, budget(plan)))
    findings = {arm.name: _of_arm(plan, [m for m in measures if m.arm == arm.name]) for arm in plan.treatments}
    whole = _whole(list(findings.values()))
    more = max((m.more for m in measures if m.finding is Finding.NEED_MORE and m.more is not None), default=None)
    seconds = (now - began).total_seconds()
    eta = timedelta(seconds=more * seconds / total) if more and total and more * seconds / total < 3e9 else None
    sentence = " ".join(filter(None, [*(_said(plan, arm, findings[arm], measures) for arm in findings), told]))
    if whole is Finding.NEED_MORE:
        sentence = f"{sentence} {_needs(more, eta)}"
    return ExperimentReading(
        at=now, finding=whole, sentence=sentence, units=counts, contaminated=seen.contaminated, nameless=seen.nameless,
        sample_ratio=ratio, measures=measures, more=more, eta=eta,
    )  # fmt: skip


def _told(plan: ExperimentPlan, seen: ExperimentSums, total: int) -> str:
    """What else whoever reads it should know."""
    said = []
    if seen.contaminated:
        share = seen.contaminated / (total + seen.contaminated)
        said.append(f"{seen.contaminated:,} units ({share:.1%}) met several arms and count for none.")
    if seen.nameless:
        said.append(f"{seen.nameless:,} requests name no {plan.unit.value} and count nowhere.")
    return " ".join(said)


def _mismatch(plan: ExperimentPlan, counts: Mapping[str, int], total: int) -> str:
    joint = sum(arm.share for arm in plan.arms)
    seen = ", ".join(f"{arm.name} {counts[arm.name] / total:.1%} ({arm.share / joint:.1%} agreed)" for arm in plan.arms)
    why = f"units did not come in the shares that were agreed ({seen})"
    return f"The arms are not alike: {why}. No result counts until it is known why."


def _measures(
    plan: ExperimentPlan, seen: ExperimentSums, arms: Mapping[str, str], allowed: Budget
) -> Iterator[MeasureReading]:
    control = arms[plan.control.name]
    for arm in plan.treatments:
        pair = (control, arms[arm.name])
        yield measured(plan.objective, seen.measures[called(plan.objective)], pair, arm.name, allowed.objective)
        for guardrail in plan.guardrails:
            yield measured(guardrail, seen.measures[called(guardrail)], pair, arm.name, allowed.guardrail)
        yield _failing(seen, pair, arm.name, allowed.guardrail)


def measured(
    metric: Objective | Guardrail, sums: MeasureSums, pair: tuple[str, str], arm: str, alpha: float
) -> MeasureReading:
    """One measure of one arm. pair: what the sums call control and arm. alpha: of each bound."""
    objective, name, sign = isinstance(metric, Objective), called(metric), sign_of(metric)
    rare = None if objective else _rare(metric, sums, pair, arm, alpha)
    if rare is not None:
        return rare
    strata = matched([sums.strata.get(one, {}) for one in pair])
    largest = (sums.largest[pair[0]], sums.largest[pair[1]]) if set(pair) <= set(sums.largest) else None
    found = effect(strata[0], strata[1], largest)
    if isinstance(found, NotComputable):
        few = "units of each arm" in found.why
        return MeasureReading(
            arm=arm, measure=name, objective=objective, margin=metric.margin, sentence=f"{name}: {found.why}",
            finding=Finding.NEED_MORE if few else Finding.NOT_COMPUTABLE,
            n=sum(part.n for one in strata for part in one),
        )  # fmt: skip
    aim = metric.margin or _NO_MARGIN * (abs(found.control) or 1.0)
    low, high = bounds(found, alpha=alpha, aim=aim)
    gain, least, most = sign * found.estimate, min(sign * low, sign * high), max(sign * low, sign * high)
    finding = _of_objective(least, most, metric.margin) if objective else _of_guardrail(least, most, metric.margin)
    target = max(gain, metric.margin - gain) if objective else max(gain + metric.margin, -gain - metric.margin)
    more = (
        more_units(found.variance, found.n, target=target, alpha=alpha, aim=aim)
        if finding is Finding.NEED_MORE
        else None
    )
    said = f"{name} {found.treated:.4g} against {found.control:.4g}: {found.estimate:+.3g}, surely {low:+.3g} to {high:+.3g}."
    return MeasureReading(
        arm=arm, measure=name, objective=objective, finding=finding, control=found.control, treated=found.treated,
        estimate=found.estimate, low=low, high=high, margin=metric.margin, cut=found.cut, n=found.n, more=more,
        sentence=said,
    )  # fmt: skip


def _of_objective(least: float, most: float, minimum: float) -> Finding:
    if most < 0:
        return Finding.HARM
    if least > 0:
        return Finding.BETTER
    return Finding.NO_WORSE if least > -minimum and most < minimum else Finding.NEED_MORE


def _of_guardrail(least: float, most: float, margin: float) -> Finding:
    if most < -margin:
        return Finding.HARM
    return Finding.WITHIN if least > -margin else Finding.NEED_MORE


def _rare(
    metric: Objective | Guardrail, sums: MeasureSums, pair: tuple[str, str], arm: str, alpha: float
) -> MeasureReading | None:
    """Of a share that hardly any unit of an arm has, or hardly any lacks: the shares of units that have it at all, or lack it at
    all, bounded exactly. None where it is neither."""
    n = [sum(part.n for part in sums.strata.get(one, {}).values()) for one in pair]
    some, full = [sums.some.get(one, 0) for one in pair], [sums.full.get(one, 0) for one in pair]
    if metric.measure not in SHARES or min(n) == 0:
        return None
    lacking = [size - kept for size, kept in zip(n, full, strict=True)]
    worse_up = sign_of(metric) < 0
    odd = some if min(some) < RARE else lacking if min(lacking) < RARE else None
    if (
        odd is None or (odd is some) is not worse_up
    ):  # only what gets worse as odd units come is bounded by how many there are
        return None
    low = share_at_least(odd[1], n[1], alpha=alpha / 2) - share_at_most(odd[0], n[0], alpha=alpha / 2)
    high = share_at_most(odd[1], n[1], alpha=alpha / 2) - share_at_least(odd[0], n[0], alpha=alpha / 2)
    finding = Finding.HARM if low > metric.margin else Finding.WITHIN if high < metric.margin else Finding.NEED_MORE
    sign = 1.0 if worse_up else -1.0
    first, last = sorted((sign * low, sign * high))
    shares = [count / size for count, size in zip(odd, n, strict=True)]
    values = shares if worse_up else [1 - share for share in shares]
    said = f"{called(metric)}: {odd[1]:,} of {n[1]:,} units against {odd[0]:,} of {n[0]:,} {'have' if worse_up else 'lack'} it."
    return MeasureReading(
        arm=arm, measure=called(metric), objective=False, finding=finding, sentence=said, control=values[0], treated=values[1],
        estimate=values[1] - values[0], low=first, high=last, margin=metric.margin, n=sum(n),
    )  # fmt: skip


def _failing(seen: ExperimentSums, pair: tuple[str, str], arm: str, alpha: float) -> MeasureReading:
    """Requests that fail name nobody where nothing was answered, so they are counted by request."""
    one, two = (Failures(requests=seen.requests.get(told, 0), failed=seen.failed.get(told, 0)) for told in pair)
    found = failing(one, two, FAILED_MARGIN, alpha=alpha)
    finding = {
        Decision.ROLL_BACK: Finding.HARM, Decision.SHIP: Finding.WITHIN, Decision.CANNOT_TELL: Finding.NEED_MORE,
    }.get(found.decision, Finding.NEED_MORE)  # fmt: skip
    shares = [each.failed / each.requests if each.requests else None for each in (one, two)]
    return MeasureReading(
        arm=arm, measure=FAILED, objective=False, finding=finding, sentence=found.sentence, control=shares[0], treated=shares[1],
        estimate=found.measured, low=found.low, high=found.high, margin=FAILED_MARGIN, n=one.requests + two.requests,
    )  # fmt: skip


def _of_arm(plan: ExperimentPlan, measures: Sequence[MeasureReading]) -> Finding:
    """Harm of any measure is harm. Whatever else the objective says counts once every guardrail is surely within its margin;
    the built-in one must only not be broken."""
    if any(m.finding is Finding.HARM for m in measures):
        return Finding.HARM
    objective = next(m for m in measures if m.objective)
    asked = [m for m in measures if not m.objective and m.measure != FAILED]
    for bad in (Finding.NOT_COMPUTABLE, Finding.NEED_MORE):
        if objective.finding is bad or any(m.finding is bad for m in asked):
            return bad
    if objective.finding is Finding.NO_WORSE and not plan.stop.futility:
        return Finding.NEED_MORE
    return objective.finding


def _whole(findings: Sequence[Finding]) -> Finding:
    for worst in (Finding.HARM, Finding.NEED_MORE, Finding.NOT_COMPUTABLE):
        if worst in findings:
            return worst
    return Finding.BETTER if Finding.BETTER in findings else Finding.NO_WORSE


def _said(plan: ExperimentPlan, arm: str, finding: Finding, measures: Sequence[MeasureReading]) -> str:
    """One sentence of one arm."""
    mine = [m for m in measures if m.arm == arm]
    objective = next(m for m in mine if m.objective)
    control = plan.control.name
    between = f"{objective.low:+.3g} to {objective.high:+.3g}" if objective.low is not None else ""
    if finding is Finding.HARM:
        worse = next(m for m in mine if m.finding is Finding.HARM)
        said = f"{arm} does harm: {worse.sentence}"
    elif finding is Finding.BETTER:
        small = objective.estimate is not None and abs(objective.estimate) < plan.objective.minimum_effect
        least = ", less than the least effect worth having" if small else ""
        said = (
            f"{arm} is better than {control}: {objective.measure} {objective.estimate:+.3g}, surely {between}{least}."
        )
    elif finding is Finding.NO_WORSE:
        said = (
            f"{arm} is no worse than {control} and not better by {plan.objective.minimum_effect:g}: surely {between}."
        )
    elif finding is Finding.NOT_COMPUTABLE:
        said = (
            f"Of {arm} nothing can be computed: {next(m for m in mine if m.finding is Finding.NOT_COMPUTABLE).sentence}"
        )
    else:
        open_ = [m.sentence for m in mine if m.finding is Finding.NEED_MORE and m.measure != FAILED]
        said = f"{arm} is not decided yet: {' '.join(open_)}"
    if plan.a_a and finding in (Finding.BETTER, Finding.HARM):
        return f"Both arms are one version, so the apparatus is at fault, or this is the rare false alarm. {said}"
    return said


def _needs(more: int | None, eta: timedelta | None) -> str:
    if more is None:
        return "How many more units it takes cannot be said yet."
    if eta is None:
        return f"About {more:,} more units would tell."
    hours = eta.total_seconds() / 3600
    when = (
        f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours" if hours >= 1 else f"{hours * 60:.2g} minutes"
    )
    return f"About {more:,} more units would tell, {when} at today's traffic."
