"""Settings of gates that must agree with the rest of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modelmark.contract.rule_violation import RuleViolation
from modelmark.domain.classes import class_index
from modelmark.domain.contract import Contract
from modelmark.domain.metrics import Task

_HOURS: Final = 24


def fairness_violations(contract: Contract) -> Iterator[RuleViolation]:
    """The favourable class must be one, boundaries must belong to sensitive columns."""
    settings = contract.gates.fairness
    if settings is None:
        return
    path, classes = ("gates", "fairness", "favourable"), contract.outputs.classes
    if settings.favourable is not None and contract.model.task is Task.REGRESSION:
        yield RuleViolation(path, repr(settings.favourable), "nothing; regression has no classes")
    elif settings.favourable is not None and class_index(classes, settings.favourable) is None:
        yield RuleViolation(path, repr(settings.favourable), f"one of {list(classes)}")
    for name in settings.boundaries:
        if name not in contract.data.sensitive:
            allowed = f"a column of data.sensitive: {', '.join(contract.data.sensitive) or 'none is named'}"
            yield RuleViolation(("gates", "fairness", "boundaries", name), repr(name), allowed)


def replay_violations(contract: Contract) -> Iterator[RuleViolation]:
    """A day has 24 hours, and traffic in one of them at least. That no rate is below 0, its range says."""
    replay = contract.gates.replay
    if replay is None:
        return
    if len(replay.hours) != _HOURS or not any(replay.hours):
        rule = f"{_HOURS} relative rates from 0 upwards, of which one at least is above 0"
        yield RuleViolation(("gates", "replay", "hours"), f"{len(replay.hours)} rates", rule)
