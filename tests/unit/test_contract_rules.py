"""Every rule that a contract must hold beyond its schema: kept at the limit, broken one beyond it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from builders.domain import contract
from modelmark.contract.names import MAX_NAME
from modelmark.contract.rules import rule_violations
from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind, Effect
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.catalogue.gate_settings import FairnessGate, Gates, ReplayGate
from modelmark.domain.contract import (
    Contract,
    Costs,
    Data,
    DataType,
    Fallback,
    FallbackKind,
    Guardrail,
    Input,
    ModelSource,
    Objective,
    Outputs,
    Policy,
    Slice,
)
from modelmark.domain.metrics import Metric, Task

AGE = Input(name="age", type=DataType.NUMBER)
JOB = Input(name="job", type=DataType.CATEGORY, categories=("a", "b"))
NOTE = Input(name="note", type=DataType.STRING)
COUNT = Input(name="count", type=DataType.INTEGER, nullable=True)
FLAG = Input(name="flag", type=DataType.BOOLEAN)
EVERY = (AGE, JOB, NOTE, COUNT, FLAG)
REGRESSION: dict[str, Any] = {
    "model": ModelSource(source="m", task=Task.REGRESSION),
    "outputs": Outputs(),
    "objective": Objective(metric=Metric.RMSE),
}
SEVERAL: dict[str, Any] = {
    "model": ModelSource(source="m", task=Task.MULTICLASS),
    "outputs": Outputs(classes=("x", "y", "z")),
    "objective": Objective(metric=Metric.ACCURACY),
}


def broken(changed: Contract) -> list[str]:
    return [".".join(map(str, fault.path)) for fault in rule_violations(changed)]


def kept(**changes: Any) -> None:
    assert broken(contract(**changes)) == []


def inputs(*given: Input, **changes: Any) -> dict[str, Any]:
    first, *rest = given
    return {"inputs": (dataclasses.replace(first, **changes), *rest)}


def test_the_usual_contracts_break_nothing() -> None:
    for changes in ({}, REGRESSION, SEVERAL, {"inputs": EVERY}):
        kept(**changes)


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"modelmark": 2}, "modelmark"),
        ({"name": "a" * 64}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a-"}, "name"),
        ({"name": ""}, "name"),
        ({"inputs": ()}, "inputs"),
        (inputs(AGE, AGE), "inputs.0.name"),
        (inputs(AGE, name="n" * (MAX_NAME + 1)), "inputs.0.name"),
        (inputs(AGE, name=""), "inputs.0.name"),
        (inputs(AGE, name="y"), "inputs.0.name"),
        (inputs(JOB, minimum=1.0), "inputs.0.minimum"),
        (inputs(NOTE, maximum=1.0), "inputs.0.minimum"),
        (inputs(AGE, minimum=2.0, maximum=1.0), "inputs.0.minimum"),
        (inputs(JOB, categories=None), "inputs.0.categories"),
        (inputs(JOB, categories=()), "inputs.0.categories"),
        (inputs(NOTE, categories=("a",)), "inputs.0.categories"),
        (inputs(JOB, categories=("a", "a")), "inputs.0.categories"),
        (inputs(JOB, on_unseen=Policy.IMPUTE), "inputs.0.impute"),
        (inputs(AGE, on_out_of_range=Policy.IMPUTE), "inputs.0.impute"),
        (inputs(AGE, impute="text"), "inputs.0.impute"),
        (inputs(NOTE, impute=1.0), "inputs.0.impute"),
        (REGRESSION | {"outputs": Outputs(classes=(0, 1))}, "outputs.classes"),
        (REGRESSION | {"outputs": Outputs(minimum=2.0, maximum=2.0)}, "outputs.minimum"),
        ({"outputs": Outputs(classes=(0, 1, 2), positive=1)}, "outputs.classes"),
        ({"outputs": Outputs(classes=(1,), positive=1)}, "outputs.classes"),
        (SEVERAL | {"outputs": Outputs(classes=("x", "y"))}, "outputs.classes"),
        (SEVERAL | {"outputs": Outputs(classes=("x", "y", "x"))}, "outputs.classes"),
        ({"outputs": Outputs(classes=(0, 1))}, "outputs.positive"),
        ({"outputs": Outputs(classes=(0, 1), positive=2)}, "outputs.positive"),
        ({"outputs": Outputs(classes=(0, 1), positive=1, threshold=0.0)}, "outputs.threshold"),
        ({"outputs": Outputs(classes=(0, 1), positive=1, threshold=1.0)}, "outputs.threshold"),
        ({"objective": Objective(metric=Metric.RMSE)}, "objective.metric"),
        (SEVERAL | {"objective": Objective(metric=Metric.ROC_AUC)}, "objective.metric"),
        (SEVERAL | {"objective": Objective(metric=Metric.MAE)}, "objective.metric"),
        (REGRESSION | {"objective": Objective(metric=Metric.F1)}, "objective.metric"),
        ({"guardrails": (Guardrail(metric=Metric.R2, limit=0.5),)}, "guardrails.0.metric"),
        ({"objective": Objective(metric=Metric.EXPECTED_COST)}, "objective.costs"),
        ({"slices": (Slice(name="s", where=()),)}, "slices.0.where"),
        ({"slices": (Slice(name="s", where=(Condition(column="age"),)),)}, "slices.0.where.0"),
        ({"claims": {"modle.5": "x"}}, "claims.modle.5"),
        ({"fallback": (Fallback(kind=FallbackKind.CONSTANT, value=2),)}, "fallback.0.value"),
        ({"fallback": (Fallback(kind=FallbackKind.REVIEW, value=1),)}, "fallback.0.value"),
        (REGRESSION | {"fallback": (Fallback(kind=FallbackKind.CONSTANT, value=True),)}, "fallback.0.value"),
        (REGRESSION | {"fallback": (Fallback(kind=FallbackKind.CONSTANT, value="x"),)}, "fallback.0.value"),
        ({"gates": Gates(fairness=FairnessGate(favourable=7))}, "gates.fairness.favourable"),
        (REGRESSION | {"gates": Gates(fairness=FairnessGate(favourable=1))}, "gates.fairness.favourable"),
        ({"gates": Gates(fairness=FairnessGate(boundaries={"pay": (3.0,)}))}, "gates.fairness.boundaries.pay"),
        ({"gates": Gates(replay=ReplayGate(hours=(1.0,) * 25))}, "gates.replay.hours"),
        ({"gates": Gates(replay=ReplayGate(hours=(0.0,) * 24))}, "gates.replay.hours"),
        ({"gates": Gates(replay=ReplayGate(hours=(-1.0, *(1.0,) * 23)))}, "gates.replay.hours"),
        ({"gates": Gates(replay=ReplayGate(hours=(float("inf"), *(1.0,) * 23)))}, "gates.replay.hours"),
    ],
)
def test_a_broken_rule_is_told_where_it_is(changes: dict[str, Any], path: str) -> None:
    assert broken(contract(**changes)) == [path]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a" * 63},
        {"name": "7"},
        {"name": "a-b"},
        inputs(AGE, name="n" * MAX_NAME),
        inputs(AGE, name="n"),
        inputs(AGE, minimum=1.0, maximum=1.0),
        inputs(AGE, minimum=1.0),
        inputs(AGE, maximum=1.0),
        inputs(JOB, on_unseen=Policy.IMPUTE, impute="a"),
        inputs(JOB, on_out_of_range=Policy.IMPUTE),
        inputs(AGE, on_out_of_range=Policy.IMPUTE, impute=0.0),
        inputs(AGE, on_unseen=Policy.IMPUTE),
        REGRESSION | {"outputs": Outputs(minimum=1.0, maximum=2.0)},
        REGRESSION | {"outputs": Outputs(minimum=1.0)},
        REGRESSION | {"outputs": Outputs(maximum=1.0)},
        REGRESSION | {"outputs": Outputs(threshold=7.0)},
        SEVERAL | {"outputs": Outputs(classes=("x", "y", "z", "w"))},
        {"outputs": Outputs(classes=(0, 1), positive=0, threshold=1e-9)},
        {"objective": Objective(metric=Metric.EXPECTED_COST, costs=Costs(false_positive=1, false_negative=1))},
        REGRESSION | {"objective": Objective(metric=Metric.PINBALL)},
        {"slices": (Slice(name="s", where=(Condition(column="age", below=3),)),)},
        {"fallback": (Fallback(kind=FallbackKind.CONSTANT, value=1), Fallback(kind=FallbackKind.REVIEW))},
        REGRESSION | {"fallback": (Fallback(kind=FallbackKind.CONSTANT, value=1.5),)},
        {"gates": Gates(fairness=None, replay=None)},
        {"gates": Gates(fairness=FairnessGate(favourable=0))},
        {"gates": Gates(replay=ReplayGate(hours=(1.0, *(0.0,) * 23)))},
        {
            "data": Data(train="t", holdout="h", target="y", sensitive=("pay",)),
            "gates": Gates(fairness=FairnessGate(boundaries={"pay": (3.0,)})),
        },
    ],
)
def test_what_is_just_allowed_is_allowed(changes: dict[str, Any]) -> None:
    kept(**changes)


def test_a_name_has_at_most_255_characters() -> None:
    assert MAX_NAME == 255


def test_ten_thousand_inputs_are_allowed_and_one_more_is_not() -> None:
    many = tuple(Input(name=f"i{k}", type=DataType.NUMBER) for k in range(10_001))
    assert broken(contract(inputs=many[:-1])) == []
    assert broken(contract(inputs=many)) == ["inputs"]


def test_names_that_come_twice_are_told_once() -> None:
    assert [f.found for f in rule_violations(contract(inputs=(AGE, JOB, AGE, AGE)))] == ["'age' 3 times"]
    parts = (Slice(name="s", where=(Condition(column="age", below=3),)),) * 2
    assert broken(contract(slices=parts)) == ["slices.1.name"]


@pytest.mark.parametrize(
    ("part", "name", "low", "high"),
    [
        ("serving", "deadline_ms", 1, 600_000),
        ("serving", "p99_ms", 0.1, 600_000),
        ("serving", "rate_per_s", 0.1, 1_000_000),
        ("serving", "max_rows", 1, 100_000),
        ("serving", "max_body_bytes", 1024, 1_073_741_824),
        ("objective", "quantile", 0.001, 0.999),
        ("monitors", "window_minutes", 0.05, 527_040),
        ("monitors", "every_seconds", 0.2, 2_678_400),
    ],
)
def test_limits_hold_their_ends(part: str, name: str, low: float, high: float) -> None:
    for value, faults in ((low, []), (high, []), (low * 0.99, [f"{part}.{name}"]), (high * 1.01, [f"{part}.{name}"])):
        changed = dataclasses.replace(getattr(contract(), part), **{name: value})
        assert broken(contract(**{part: changed})) == faults


# Tests of behaviour.

UP, DOWN = Effect.INCREASE, Effect.DECREASE
KINDS: dict[BehaviourKind, dict[str, Any]] = {
    BehaviourKind.MONOTONE: {"column": "age", "direction": UP},
    BehaviourKind.INVARIANT: {"column": "job"},
    BehaviourKind.DIRECTIONAL: {"direction": UP, "add": {"age": 1.0}},
    BehaviourKind.UNIT_CHANGE: {"column": "age", "factor": 2.0},
    BehaviourKind.NULL_SWAP: {"column": "count"},
}


def trying(kind: BehaviourKind, *more: Behaviour, **changes: Any) -> Contract:
    return contract(inputs=EVERY, behaviour=(Behaviour(**{"name": "b", "kind": kind, **KINDS[kind], **changes}), *more))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_takes_its_fields_and_no_others(kind: BehaviourKind) -> None:
    takes = {
        BehaviourKind.MONOTONE: {"column", "direction", "steps", "score_of"},
        BehaviourKind.INVARIANT: {"column", "values", "score_of"},
        BehaviourKind.DIRECTIONAL: {"direction", "change", "add", "score_of"},
        BehaviourKind.UNIT_CHANGE: {"column", "twin", "factor", "offset"},
        BehaviourKind.NULL_SWAP: {"column", "values", "score_of"},
    }[kind]
    assert broken(trying(kind)) == []
    given = {
        "column": "count", "direction": UP, "steps": (1.0,), "values": ("a",), "change": {"note": "x"},
        "add": {"count": 2.0}, "twin": "count", "factor": 3.0, "offset": 1.0, "score_of": 1,
    }  # fmt: skip
    for name, value in given.items():
        faults = broken(trying(kind, **{name: value}))
        assert (f"behaviour.0.{name}" in faults) is (name not in takes) or name in ("values", "twin"), name


@pytest.mark.parametrize(
    ("kind", "changes", "path"),
    [
        (BehaviourKind.MONOTONE, {"name": "  "}, "name"),
        (BehaviourKind.MONOTONE, {"direction": None}, "direction"),
        (BehaviourKind.DIRECTIONAL, {"direction": None}, "direction"),
        (BehaviourKind.DIRECTIONAL, {"add": {}}, "change"),
        (BehaviourKind.UNIT_CHANGE, {"factor": 1.0}, "factor"),
        (BehaviourKind.MONOTONE, {"steps": (1.0, 0.0)}, "steps"),
        (BehaviourKind.NULL_SWAP, {"values": (1.0, 2.0)}, "values"),
        (BehaviourKind.MONOTONE, {"column": "agee"}, "column"),
        (BehaviourKind.MONOTONE, {"column": ""}, "column"),
        (BehaviourKind.UNIT_CHANGE, {"column": "count", "twin": "agee"}, "twin"),
        (BehaviourKind.DIRECTIONAL, {"add": {"agee": 1.0}}, "add"),
        (BehaviourKind.DIRECTIONAL, {"change": {"agee": 1.0}}, "change"),
        (BehaviourKind.MONOTONE, {"column": "job"}, "column"),
        (BehaviourKind.UNIT_CHANGE, {"column": "flag"}, "column"),
        (BehaviourKind.DIRECTIONAL, {"add": {"job": 1.0}}, "add"),
        (BehaviourKind.NULL_SWAP, {"column": "age"}, "column"),
        (BehaviourKind.INVARIANT, {"values": (1.0,)}, "column"),
        (BehaviourKind.INVARIANT, {"column": "flag", "values": (1,)}, "column"),
        (BehaviourKind.INVARIANT, {"column": "age", "values": (True,)}, "column"),
        (BehaviourKind.INVARIANT, {"column": "age", "values": ("x",)}, "column"),
        (BehaviourKind.DIRECTIONAL, {"change": {"note": 1.0}}, "change"),
        (BehaviourKind.MONOTONE, {"max_failure_rate": 1.0}, "max_failure_rate"),
        (BehaviourKind.MONOTONE, {"max_failure_rate": -0.01}, "max_failure_rate"),
        (BehaviourKind.MONOTONE, {"tolerance": -0.01}, "tolerance"),
        (BehaviourKind.MONOTONE, {"score_of": 7}, "score_of"),
        (BehaviourKind.MONOTONE, {"where": (Condition(column="agee", below=1),)}, "where.0.column"),
        (BehaviourKind.MONOTONE, {"where": (Condition(column="age"),)}, "where.0"),
        (BehaviourKind.MONOTONE, {"where": (Condition(column="job", below=1),)}, "where.0.column"),
        (BehaviourKind.MONOTONE, {"where": (Condition(column="flag", at_least=1),)}, "where.0.column"),
    ],
)
def test_a_test_that_cannot_be_run_is_told_where(kind: BehaviourKind, changes: dict[str, Any], path: str) -> None:
    assert broken(trying(kind, **changes)) == [f"behaviour.0.{path}"]


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (BehaviourKind.MONOTONE, {"max_failure_rate": 0.0, "tolerance": 0.0, "steps": (0.1,), "score_of": 0}),
        (BehaviourKind.UNIT_CHANGE, {"column": "count", "twin": "count"}),
        (BehaviourKind.UNIT_CHANGE, {"factor": 1.0, "offset": 5.0}),
        (BehaviourKind.NULL_SWAP, {"values": (1,)}),
        (BehaviourKind.INVARIANT, {"column": "flag", "values": (True,)}),
        (BehaviourKind.INVARIANT, {"column": "age", "values": (1, 2.5)}),
        (BehaviourKind.DIRECTIONAL, {"add": {}, "change": {"job": "a"}}),
        (BehaviourKind.MONOTONE, {"where": (Condition(column="job", any_of=("a",)), Condition(column="age", below=1))}),
    ],
)
def test_a_test_that_can_be_run_is_kept(kind: BehaviourKind, changes: dict[str, Any]) -> None:
    assert broken(trying(kind, **changes)) == []


def test_tests_have_names_of_their_own_and_of_several_classes_one_is_meant() -> None:
    other = Behaviour(name="b", kind=BehaviourKind.INVARIANT, column="job")
    assert broken(trying(BehaviourKind.MONOTONE, other)) == ["behaviour.0.name", "behaviour.1.name"]
    several = dataclasses.replace(trying(BehaviourKind.MONOTONE), **SEVERAL)
    assert broken(several) == ["behaviour.0.score_of"]
    meant = dataclasses.replace(trying(BehaviourKind.MONOTONE, score_of="x"), **SEVERAL)
    assert broken(meant) == []
    (fault,) = rule_violations(trying(BehaviourKind.MONOTONE, column="agee"))
    assert fault.allowed == "an input of this contract; did you mean 'age'?"
    (far,) = rule_violations(trying(BehaviourKind.MONOTONE, column="zzzz"))
    assert far.allowed == "an input of this contract: age, job, note, count, flag"
