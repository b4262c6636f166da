"""What a contract must hold beyond its schema: fields that have to agree with each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from modelmark.contract.after_release.alert_rules import alert_violations
from modelmark.contract.after_release.rollout_rules import rollout_violations
from modelmark.contract.behaviour_rules import CONDITIONS, behaviour_violations
from modelmark.contract.dialect import dialect_violations
from modelmark.contract.dtypes import EXACT
from modelmark.contract.gate_rules import fairness_violations, replay_violations
from modelmark.contract.names import INPUT_NAME, MAX_NAME, MODEL_NAME, names_a_model, names_an_input
from modelmark.contract.nearest import nearest
from modelmark.contract.plugin_settings import broken_plugins
from modelmark.contract.ranges import broken_limits
from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.classes import class_index, class_text
from modelmark.domain.contract import Contract, DataType, FallbackKind, Input, Policy, Retraining, Strategy
from modelmark.domain.metrics import Metric, Task
from modelmark.domain.strict import Scalar
from modelmark.domain.tiles import TILES
from modelmark.domain.training import is_entry

#: A whole number, written the one way that `str` of it is.
_CODE: Final = re.compile(r"0|-?[1-9][0-9]{0,15}")
#: Which task each metric can judge.
_BOTH = frozenset({Task.BINARY, Task.MULTICLASS})
_ONE = frozenset({Task.BINARY})
JUDGES: dict[Metric, frozenset[Task]] = {
    Metric.ACCURACY: _BOTH,
    Metric.BALANCED_ACCURACY: _BOTH,
    Metric.LOG_LOSS: _BOTH,
    Metric.F1: _BOTH,
    Metric.ROC_AUC: _ONE,
    Metric.PRECISION: _ONE,
    Metric.RECALL: _ONE,
    Metric.BRIER: _ONE,
    Metric.EXPECTED_COST: _ONE,
    Metric.MAE: frozenset({Task.REGRESSION}),
    Metric.RMSE: frozenset({Task.REGRESSION}),
    Metric.R2: frozenset({Task.REGRESSION}),
    Metric.AVERAGE_PRECISION: _ONE,
    Metric.PINBALL: frozenset({Task.REGRESSION}),
}


def rule_violations(contract: Contract) -> Iterator[RuleViolation]:
    """Every rule the contract breaks, in the order of the file."""
    if contract.modelmark != 1:
        yield RuleViolation(("modelmark",), str(contract.modelmark), "1, the version of this format")
    if not names_a_model(contract.name):
        yield RuleViolation(("name",), repr(contract.name), MODEL_NAME)
    yield from dialect_violations(contract)
    yield from _inputs(contract)
    yield from _outputs(contract)
    yield from _metrics(contract)
    yield from _limits(contract)
    yield from fairness_violations(contract)
    yield from replay_violations(contract)
    yield from behaviour_violations(contract)
    yield from rollout_violations(contract)
    yield from alert_violations(contract)
    yield from _slices(contract)
    yield from _claims(contract)
    yield from _retraining(contract.retraining)
    for i, step in enumerate(contract.fallback):
        if step.kind is FallbackKind.CONSTANT:
            yield from _constant(contract, i, step.value)
        elif step.value is not None:
            yield RuleViolation(("fallback", i, "value"), repr(step.value), f"nothing; {step.kind} takes no value")


def _retraining(agreed: Retraining) -> Iterator[RuleViolation]:
    if agreed.entry is not None and not is_entry(agreed.entry):
        rule = "FILE.py:FUNCTION beside the contract, or a command with {train} and {out}"
        yield RuleViolation(("retraining", "entry"), repr(agreed.entry), rule)
    if agreed.unattended and agreed.entry is None:
        yield RuleViolation(("retraining", "unattended"), "true", "false without retraining.entry")
    if agreed.strategy is Strategy.WINDOW and agreed.window_days is None:
        yield RuleViolation(("retraining", "window_days"), "nothing", "a number of days for the strategy window")
    if agreed.strategy is Strategy.EXTEND and agreed.window_days is not None:
        yield RuleViolation(("retraining", "window_days"), f"{agreed.window_days:g}", "nothing for the strategy extend")


def _claims(contract: Contract) -> Iterator[RuleViolation]:
    for id in contract.claims:
        if id not in TILES:
            yield RuleViolation(
                ("claims", id),
                f"the unknown tile {id!r}",
                f"{nearest(id, TILES, cutoff=0)!r}? `modelmark score` lists every id",
            )


def _inputs(contract: Contract) -> Iterator[RuleViolation]:
    if not contract.inputs:
        yield RuleViolation(("inputs",), "no inputs", "at least one")
    if len(contract.inputs) > 10_000:
        yield RuleViolation(("inputs",), f"{len(contract.inputs)} inputs", "at most 10000")
    counts = Counter(item.name for item in contract.inputs)
    for i, item in enumerate(contract.inputs):
        if (count := counts.pop(item.name, 1)) > 1:
            yield RuleViolation(("inputs", i, "name"), f"{item.name!r} {count} times", "each name once")
        if not 0 < len(item.name) <= MAX_NAME:
            limit = f"1 to {MAX_NAME} characters"
            yield RuleViolation(("inputs", i, "name"), f"a name of {len(item.name):,} characters", limit)
        elif not names_an_input(item.name):
            yield RuleViolation(("inputs", i, "name"), repr(item.name), INPUT_NAME)
        if item.name == contract.data.target:
            yield RuleViolation(("inputs", i, "name"), f"the target {item.name!r}", "a column other than the target")
        yield from _input(i, item)


def _input(i: int, item: Input) -> Iterator[RuleViolation]:
    textual = item.type in (DataType.CATEGORY, DataType.STRING)
    if textual and (item.minimum is not None or item.maximum is not None):
        yield RuleViolation(("inputs", i, "minimum"), "a range", f"no minimum or maximum for type {item.type}")
    if item.minimum is not None and item.maximum is not None and item.minimum > item.maximum:
        yield RuleViolation(("inputs", i, "minimum"), f"{item.minimum:g}", f"at most the maximum, {item.maximum:g}")
    if item.type is DataType.CATEGORY and not item.categories:
        yield RuleViolation(("inputs", i, "categories"), "no categories", "at least one for type category")
    if item.type not in (DataType.CATEGORY, DataType.INTEGER) and item.categories is not None:
        yield RuleViolation(("inputs", i, "categories"), "categories", f"none for type {item.type}")
    if item.type is DataType.INTEGER and item.categories is not None:
        yield from _codes(i, item, item.categories)
    if item.categories and len(set(item.categories)) < len(item.categories):
        yield RuleViolation(("inputs", i, "categories"), "a category twice", "each category once")
    asks = item.on_unseen if item.categories is not None else item.on_out_of_range
    if asks is Policy.IMPUTE and item.impute is None:
        yield RuleViolation(
            ("inputs", i, "impute"), "nothing", "the value that stands in, because a policy says impute"
        )
    if item.impute is not None and isinstance(item.impute, str) is not textual:
        yield RuleViolation(("inputs", i, "impute"), repr(item.impute), "text" if textual else "a number")


def _codes(i: int, item: Input, codes: Sequence[str]) -> Iterator[RuleViolation]:
    """Of an integer: each code is written as JSON writes it, so that one number is one code."""
    wrong = [code for code in codes if not _CODE.fullmatch(code) or abs(int(code)) >= EXACT]
    if wrong or not codes:
        found = repr(wrong[0]) if wrong else "no categories"
        allowed = 'whole numbers below 2^53 as text, such as "3", for type integer; at least one'
        yield RuleViolation(("inputs", i, "categories"), found, allowed)
    if item.minimum is not None or item.maximum is not None:
        yield RuleViolation(("inputs", i, "minimum"), "a range", "no minimum or maximum beside categories")


def _outputs(contract: Contract) -> Iterator[RuleViolation]:
    classes, task = contract.outputs.classes, contract.model.task
    if task is Task.REGRESSION:
        if classes:
            yield RuleViolation(("outputs", "classes"), f"{len(classes)} classes", "none for regression")
        low, high = contract.outputs.minimum, contract.outputs.maximum
        if low is not None and high is not None and low >= high:
            yield RuleViolation(("outputs", "minimum"), f"{low:g}", f"less than the maximum, {high:g}")
        return
    wanted = "exactly 2" if task is Task.BINARY else "at least 3"
    if (len(classes) != 2) if task is Task.BINARY else (len(classes) < 3):
        yield RuleViolation(("outputs", "classes"), f"{len(classes)} classes", f"{wanted} for {task}")
    if len(set(map(class_text, classes))) < len(classes):
        yield RuleViolation(("outputs", "classes"), "a class twice", "each class once")
    if task is Task.BINARY and (
        contract.outputs.positive is None or class_index(classes, contract.outputs.positive) is None
    ):
        yield RuleViolation(("outputs", "positive"), repr(contract.outputs.positive), f"one of {list(classes)}")
    if not 0 < contract.outputs.threshold < 1:
        yield RuleViolation(("outputs", "threshold"), f"{contract.outputs.threshold:g}", "more than 0 and less than 1")


def _metrics(contract: Contract) -> Iterator[RuleViolation]:
    named = [(("objective", "metric"), contract.objective.metric)]
    named += [(("guardrails", i, "metric"), rail.metric) for i, rail in enumerate(contract.guardrails)]  # type: ignore[misc]
    for path, metric in named:
        if contract.model.task not in JUDGES[metric]:
            fit = ", ".join(m for m, tasks in JUDGES.items() if contract.model.task in tasks)
            yield RuleViolation(path, metric, f"a metric for {contract.model.task}: {fit}")
        if metric is Metric.EXPECTED_COST and contract.objective.costs is None:
            yield RuleViolation(("objective", "costs"), "nothing", "costs, because the metric is expected_cost")


def _limits(contract: Contract) -> Iterator[RuleViolation]:
    serving, monitors = contract.serving, contract.monitors
    ranges: list[tuple[tuple[str, ...], float, float, float]] = [
        (("serving", "deadline_ms"), serving.deadline_ms, 1, 600_000),
        (("serving", "p99_ms"), serving.p99_ms, 0.1, 600_000),
        (("serving", "rate_per_s"), serving.rate_per_s, 0.1, 1_000_000),
        (("serving", "max_rows"), serving.max_rows, 1, 100_000),
        (("serving", "max_body_bytes"), serving.max_body_bytes, 1024, 1_073_741_824),
        (("objective", "quantile"), contract.objective.quantile, 0.001, 0.999),
        (("monitors", "window_minutes"), monitors.window_minutes, 0.05, 60 * 24 * 366),
        (("monitors", "every_seconds"), monitors.every_seconds, 0.2, 60 * 60 * 24 * 31),
    ]
    if monitors.alarm_budget is not None:
        ranges.append((("monitors", "alarm_budget", "days"), monitors.alarm_budget.days, 1, 3_650))
    for path, value, low, high in ranges:
        if not low <= value <= high:
            yield RuleViolation(path, f"{value:g}", f"{low:g} to {high:g}")
    yield from broken_limits(contract)
    yield from broken_plugins(contract)


def _slices(contract: Contract) -> Iterator[RuleViolation]:
    names: set[str] = set()
    for i, part in enumerate(contract.slices):
        if part.name in names:
            yield RuleViolation(("slices", i, "name"), f"{part.name!r} twice", "each name once")
        names.add(part.name)
        if not part.where:
            yield RuleViolation(("slices", i, "where"), "no condition", "at least one")
        for j, rule in enumerate(part.where):
            if rule.says_nothing:
                yield RuleViolation(("slices", i, "where", j), "a column alone", CONDITIONS)


def _constant(contract: Contract, i: int, value: object) -> Iterator[RuleViolation]:
    if contract.model.task is Task.REGRESSION:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            yield RuleViolation(("fallback", i, "value"), repr(value), "a number")
    elif not isinstance(value, Scalar) or class_index(contract.outputs.classes, value) is None:
        yield RuleViolation(("fallback", i, "value"), repr(value), f"one of {list(contract.outputs.classes)}")
