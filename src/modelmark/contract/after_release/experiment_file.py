"""Read an experiment's file: YAML to an `ExperimentPlan`; every fault names file, line, field, what was found, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from modelmark.contract import yamltext
from modelmark.contract.ranges import broken_ranges
from modelmark.contract.read import faults_in
from modelmark.contract.rule_violation import RuleViolation
from modelmark.contract.schema_faults import schema_faults
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ContractInvalid, Missing
from modelmark.domain.experiments.plan import LABELLED, USUAL, ExperimentPlan, Guardrail, Measure, Objective
from modelmark.domain.metrics import Task

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
MOST_ARMS: Final = 8
_PLAN: Final = {"false_decision_rate": (1e-6, 0.2), "sample_ratio_alpha": (1e-6, 0.1), "holdback": (0.0, 0.95),
                "before_days": (0.01, 365.0)}  # fmt: skip
_STOP: Final = {"max_days": (1e-4, 365.0), "max_units": (100, 1_000_000_000)}


def load_plan(path: Path) -> ExperimentPlan:
    """Raises Missing without a file and ContractInvalid with every fault at once."""
    if not path.is_file():
        raise Missing(f"there is no file {path}", code="NO_FILE", field="FILE", hint="docs/experiments.md shows one")
    with path.open("rb") as file:
        return parse_plan(file.read(yamltext.MAX_BYTES + 1), path)


def parse_plan(data: bytes, path: Path) -> ExperimentPlan:
    try:
        values, root = yamltext.read(data)
    except yamltext.NotYaml as error:
        broken = RuleViolation((), error.found, error.allowed)
        raise ContractInvalid(faults_in([broken], path, None, line=error.line)) from None
    try:
        plan = _adapter().validate_json(json.dumps(values), strict=True)
    except ValidationError as error:
        raise ContractInvalid(faults_in(schema_faults(error), path, root)) from None
    faults = faults_in(plan_violations(plan), path, root)
    if faults:
        raise ContractInvalid(faults)
    return plan


@cache
def _adapter() -> TypeAdapter[ExperimentPlan]:
    return TypeAdapter(ExperimentPlan)


def plan_violations(plan: ExperimentPlan) -> Iterator[RuleViolation]:
    """What the plan says by itself, without the model's contract."""
    if not NAME.fullmatch(plan.name):
        yield RuleViolation(("name",), plan.name, "a-z, 0-9 and -, 40 characters at most")
    if not plan.hypothesis.strip():
        yield RuleViolation(("hypothesis",), "nothing", "a sentence: what is believed, and why")
    yield from broken_ranges(plan, _PLAN, ())
    yield from broken_ranges(plan.stop, _STOP, ("stop",))
    yield from _arms(plan)
    for path, metric in _metrics(plan):
        yield from _metric(path, metric)
    if plan.objective.minimum_effect <= 0:
        yield RuleViolation(("objective", "minimum_effect"), f"{plan.objective.minimum_effect:g}", "more than 0")
    if plan.covariate is not None and plan.before_days is not None:
        yield RuleViolation(("before_days",), "a covariate, too", "one of covariate and before_days")


def _metrics(plan: ExperimentPlan) -> Iterator[tuple[tuple[str | int, ...], Objective | Guardrail]]:
    yield ("objective",), plan.objective
    for i, guardrail in enumerate(plan.guardrails):
        yield ("guardrails", i), guardrail


def _arms(plan: ExperimentPlan) -> Iterator[RuleViolation]:
    if not 2 <= len(plan.arms) <= MOST_ARMS:
        yield RuleViolation(("arms",), f"{len(plan.arms)} arms", f"2 to {MOST_ARMS}, the control first")
        return
    names = [arm.name for arm in plan.arms]
    for i, arm in enumerate(plan.arms):
        if not NAME.fullmatch(arm.name) or arm.name in names[:i]:
            allowed = "a name of its own: a-z, 0-9 and -, 40 characters at most"
            yield RuleViolation(("arms", i, "name"), arm.name, allowed)
        if not 0.001 <= arm.share < 1:
            yield RuleViolation(("arms", i, "share"), f"{arm.share:g}", "0.001 to below 1")
    total = sum(arm.share for arm in plan.arms) + plan.holdback
    if abs(total - 1) > 1e-9:
        yield RuleViolation(("arms",), f"shares and holdback add up to {total:g}", "1")
    versions = [arm.version for arm in plan.arms]
    if plan.a_a and len(set(versions)) > 1:
        yield RuleViolation(
            ("arms",), f"versions {', '.join(versions)}", "one version for every arm of an A/A experiment"
        )
    if not plan.a_a and len(set(versions)) < len(versions):
        yield RuleViolation(("arms",), f"versions {', '.join(versions)}", "another version for each arm, or a_a: true")


def _metric(path: tuple[str | int, ...], metric: Objective | Guardrail) -> Iterator[RuleViolation]:
    if metric.direction is None and metric.measure not in USUAL:
        yield RuleViolation((*path, "direction"), "nothing", "higher or lower: which way is better")
    if (metric.measure is Measure.CLASS_SHARE) is (metric.class_name is None):
        allowed = "a class of the outputs" if metric.class_name is None else "nothing; only class_share has one"
        yield RuleViolation((*path, "class_name"), metric.class_name or "nothing", allowed)
    if metric.margin < 0:
        yield RuleViolation((*path, "margin"), f"{metric.margin:g}", "0 or more")


def require_possible(plan: ExperimentPlan, contract: Contract) -> None:
    """Raises ContractInvalid where the champion's contract makes the plan impossible."""
    faults = faults_in(contract_violations(plan, contract), Path(f"experiment {plan.name}"), None)
    if faults:
        raise ContractInvalid(faults)


def contract_violations(plan: ExperimentPlan, contract: Contract) -> Iterator[RuleViolation]:
    """What the champion's contract makes impossible."""
    regression = contract.model.task is Task.REGRESSION
    for path, metric in _metrics(plan):
        if regression and metric.measure in (Measure.ACCURACY, Measure.CLASS_SHARE):
            yield RuleViolation(
                (*path, "measure"), metric.measure.value, "loss, outcome, latency_ms, fallback or score: a regression"
            )
        classes = [str(name) for name in contract.outputs.classes]
        if metric.measure is Measure.CLASS_SHARE and not regression and metric.class_name not in classes:
            yield RuleViolation((*path, "class_name"), str(metric.class_name), ", ".join(classes))
    textual, numeric = [i.name for i in contract.textual()], [i.name for i in contract.numeric()]
    if plan.strata is not None and plan.strata not in (*textual, *(i.name for i in contract.inputs if i.categories)):
        yield RuleViolation(
            ("strata",), plan.strata, f"an input with categories: {', '.join(textual) or 'there is none'}"
        )
    if plan.covariate is not None and plan.covariate not in numeric:
        yield RuleViolation(("covariate",), plan.covariate, f"a numeric input: {', '.join(numeric) or 'there is none'}")
    delay = contract.labels.expected_delay_hours
    if plan.objective.measure in LABELLED and delay is not None and delay >= plan.stop.max_days * 24:
        yield RuleViolation(
            ("stop", "max_days"), f"{plan.stop.max_days:g}", f"more than the {delay:g} hours that labels take"
        )
