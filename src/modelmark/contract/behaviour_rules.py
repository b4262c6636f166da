"""What a behavioural test must hold beyond its schema: known inputs, and the fields of its kind and no others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from modelmark.contract.nearest import nearest
from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.catalogue.behaviour import Behaviour, BehaviourKind
from modelmark.domain.catalogue.condition import Condition
from modelmark.domain.classes import class_index
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.metrics import Task

#: What a condition may say of its column.
CONDITIONS: Final = "any_of, at_least, below or missing"
_NUMBERS: Final = (DataType.NUMBER, DataType.INTEGER)
#: Kind of test -> the fields it takes beside name, kind, where, tolerance, max_failure_rate and accepted.
_TAKES: Final = {
    BehaviourKind.MONOTONE: {"column", "direction", "steps", "score_of"},
    BehaviourKind.INVARIANT: {"column", "values", "score_of"},
    BehaviourKind.DIRECTIONAL: {"direction", "change", "add", "score_of"},
    BehaviourKind.UNIT_CHANGE: {"column", "twin", "factor", "offset"},
    BehaviourKind.NULL_SWAP: {"column", "values", "score_of"},
}


def behaviour_violations(contract: Contract) -> Iterator[RuleViolation]:
    """Every rule that the behavioural tests break, in the order of the file."""
    inputs = {item.name: item for item in contract.inputs}
    names = Counter(test.name for test in contract.behaviour)
    for i, test in enumerate(contract.behaviour):
        path = ("behaviour", i)
        if not test.name.strip() or names[test.name] > 1:
            yield RuleViolation((*path, "name"), repr(test.name), "a name of its own for each test")
        yield from _fields(path, test)
        yield from _columns(path, test, inputs)
        yield from _rates(path, test)
        yield from _classes(path, test, contract)
        for j, condition in enumerate(test.where):
            yield from _condition((*path, "where", j), condition, inputs)


def _fields(path: tuple[str | int, ...], test: Behaviour) -> Iterator[RuleViolation]:
    """What is given is taken, and what is needed is given."""
    plain = Behaviour(name="", kind=test.kind)
    for name in ("column", "direction", "steps", "values", "change", "add", "twin", "factor", "offset", "score_of"):
        if name not in _TAKES[test.kind] and getattr(test, name) != getattr(plain, name):
            yield RuleViolation((*path, name), repr(getattr(test, name)), f"nothing; {test.kind} takes no {name}")
    if test.direction is None and "direction" in _TAKES[test.kind]:
        yield RuleViolation((*path, "direction"), "nothing", "increase or decrease")
    if test.kind is BehaviourKind.DIRECTIONAL and not (test.change or test.add):
        yield RuleViolation((*path, "change"), "nothing", "at least one input in change or add")
    if test.kind is BehaviourKind.UNIT_CHANGE and (test.factor, test.offset) == (1.0, 0.0):
        yield RuleViolation((*path, "factor"), "1", "how the other unit follows: factor, offset")
    if any(step <= 0 for step in test.steps):
        yield RuleViolation((*path, "steps"), str(list(test.steps)), "amounts above 0; the direction says which way")
    if test.kind is BehaviourKind.NULL_SWAP and len(test.values) > 1:
        yield RuleViolation((*path, "values"), f"{len(test.values)} values", "one, or none")


def _columns(path: tuple[str | int, ...], test: Behaviour, inputs: dict[str, Input]) -> Iterator[RuleViolation]:
    named = [("column", test.column)] if "column" in _TAKES[test.kind] else []
    named += [("twin", test.twin)] if test.twin is not None else []
    named += [("change", name) for name in test.change] + [("add", name) for name in test.add]
    for where, name in named:
        if name not in inputs:
            yield RuleViolation((*path, where), repr(name), _known(name, inputs))
            continue
        item = inputs[name]
        numeric = test.kind in (BehaviourKind.MONOTONE, BehaviourKind.UNIT_CHANGE) or where == "add"
        if numeric and not item.quantity:
            found = f"{name!r}, {'codes of categories' if item.coded else f'a {item.type}'}"
            yield RuleViolation((*path, where), found, "a number or integer")
        if not item.nullable and (test.kind is BehaviourKind.NULL_SWAP or test.twin is not None):
            yield RuleViolation((*path, where), f"{name!r}, which may not be null", "a nullable input")
        values = [test.change[name]] if where == "change" else test.values if where == "column" else ()
        yield from (
            RuleViolation((*path, where), repr(value), f"a {item.type}") for value in values if not _fits(value, item)
        )


def _fits(value: object, item: Input) -> bool:
    if item.type in (DataType.CATEGORY, DataType.STRING):
        return isinstance(value, str)
    return isinstance(value, bool) if item.type is DataType.BOOLEAN else _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _known(name: str, inputs: dict[str, Input]) -> str:
    near = nearest(name, inputs)
    return "an input of this contract" + (f"; did you mean {near!r}?" if near else ": " + ", ".join(inputs))


def _rates(path: tuple[str | int, ...], test: Behaviour) -> Iterator[RuleViolation]:
    if not 0 <= test.max_failure_rate < 1:
        yield RuleViolation((*path, "max_failure_rate"), f"{test.max_failure_rate:g}", "at least 0 and less than 1")
    if test.tolerance < 0:
        yield RuleViolation((*path, "tolerance"), f"{test.tolerance:g}", "at least 0")


def _classes(path: tuple[str | int, ...], test: Behaviour, contract: Contract) -> Iterator[RuleViolation]:
    classes = contract.outputs.classes
    if test.score_of is not None and class_index(classes, test.score_of) is None:
        yield RuleViolation((*path, "score_of"), repr(test.score_of), f"one of {list(classes)}")
    if contract.model.task is Task.MULTICLASS and test.direction is not None and test.score_of is None:
        yield RuleViolation(
            (*path, "score_of"), "nothing", f"the class whose score must {test.direction}: {list(classes)}"
        )


def _condition(path: tuple[str | int, ...], condition: Condition, inputs: dict[str, Input]) -> Iterator[RuleViolation]:
    bounds = (condition.at_least, condition.below)
    if condition.column not in inputs:
        yield RuleViolation((*path, "column"), repr(condition.column), _known(condition.column, inputs))
        return
    if condition.says_nothing:
        yield RuleViolation(path, "a column alone", CONDITIONS)
    if bounds != (None, None) and inputs[condition.column].type not in _NUMBERS:
        yield RuleViolation((*path, "column"), repr(condition.column), "a number or integer, because it has a bound")
