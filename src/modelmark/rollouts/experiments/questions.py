"""What an experiment asks of the journal's tables, as its plan and the champion's contract say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.classes import class_text, positive_of
from modelmark.domain.contract import Contract
from modelmark.domain.experiments.experiment import Experiment
from modelmark.domain.experiments.plan import LABELLED, Guardrail, Measure, Objective, Unit, called
from modelmark.domain.metrics import Task
from modelmark.journal.tables.experiments import ExperimentQuestion, MeasureQuestion
from modelmark.journal.tables.stages import LOSSES
from modelmark.rollouts.reading import columns_of, loss_of

_HOURS_MOST: Final = 87_600.0
_ANSWER: Final = "(p.prediction IS NOT NULL OR (p.value IS NOT NULL AND l.label_value IS NOT NULL))"


def question(experiment: Experiment, contract: Contract, until: datetime, *, now: datetime) -> ExperimentQuestion:
    """until: the look, or the experiment's end. now: labels of what was answered long enough before should have come."""
    plan, columns = experiment.plan, columns_of(contract)
    metrics: tuple[Objective | Guardrail, ...] = (plan.objective, *plan.guardrails)
    delay = timedelta(hours=min(max(contract.labels.expected_delay_hours or 0.0, 0.0), _HOURS_MOST))
    key = columns.get(contract.data.entity_key or "", "")
    return ExperimentQuestion(
        model=plan.model, since=experiment.registered, until=until, labelled_until=min(until, now - delay),
        arms=[experiment.arm_on_route(arm.name) for arm in plan.arms],
        measures=[asked_of(metric, contract) for metric in metrics],
        unit=None if plan.unit is Unit.REQUEST else key,
        stratum=columns.get(plan.strata or ""), covariate=columns.get(plan.covariate or ""),
        before=timedelta(days=plan.before_days) if plan.before_days is not None else None,
    )  # fmt: skip


def asked_of(metric: Objective | Guardrail, contract: Contract) -> MeasureQuestion:
    name, labelled = called(metric), metric.measure in LABELLED
    if metric.measure is Measure.LOSS:
        loss, parts = loss_of(contract)
        if contract.model.task is Task.BINARY:
            parts = {**parts, "positive": class_text(contract.outputs.classes[positive_of(contract)])}
        x = f"sum({LOSSES[loss]}) FILTER ({_ANSWER})"
        used = {key: value for key, value in parts.items() if f"${key}" in x}
        return MeasureQuestion(name=name, x=x, y=f"count(*) FILTER ({_ANSWER})", labelled=labelled, parts=used)
    if metric.measure is Measure.CLASS_SHARE:
        said = {"decided": str(metric.class_name)}
        return MeasureQuestion(
            name=name, x="sum((p.prediction = $decided)::DOUBLE)", y="count(p.prediction)", parts=said
        )
    x, y = _SUMS[metric.measure]
    return MeasureQuestion(name=name, x=x, y=y, labelled=labelled, each=metric.measure is Measure.OUTCOME_PER_ENTITY)


#: Sums over a unit's rows. What is of a request is taken of its first row.
_SUMS: Final = {
    Measure.ACCURACY: ("sum((p.prediction = l.label)::DOUBLE)", "count(p.prediction)"),
    Measure.OUTCOME: ("sum(l.label_value)", "count(l.label_value)"),
    Measure.OUTCOME_PER_ENTITY: ("sum(l.label_value)", "1"),
    Measure.LATENCY_MS: ("sum(p.micros / 1000.0) FILTER (p.row = 0)", "count(*) FILTER (p.row = 0)"),
    Measure.FALLBACK: ("sum((p.path <> 'model')::DOUBLE) FILTER (p.row = 0)", "count(*) FILTER (p.row = 0)"),
    Measure.SCORE: ("sum(coalesce(p.score, p.value))", "count(coalesce(p.score, p.value))"),
}
