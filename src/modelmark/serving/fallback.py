"""What answers when the model cannot: the contract's chain, step by step, and the answer says which step it was."""

from __future__ import annotations

import sys
from typing import Final

import numpy as np

from modelmark.contract.rows import Flag
from modelmark.domain.classes import Decision
from modelmark.domain.contract import FallbackKind
from modelmark.domain.errors import ModelmarkError, OutputInvalid, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.prediction import Path
from modelmark.serving.answers import Answer, Call
from modelmark.serving.models import Loaded

#: With no time left, nothing that computes is asked.
_COMPUTES: Final = frozenset({FallbackKind.PREVIOUS_VERSION})


def answer(call: Call, id: str, flags: list[Flag], why: ModelmarkError, *, in_time: bool) -> Answer:
    """The first step of the chain that can answer. Raises `why` when none can."""
    version = call.version
    for step in version.contract.fallback:
        if step.kind in _COMPUTES and not in_time:
            continue
        if step.kind is FallbackKind.PREVIOUS_VERSION:
            found = _previous(call, id)
            if found is not None:
                return found
        elif step.kind is FallbackKind.CONSTANT:
            return _constant(call, id, flags, step.value)
        else:
            decisions = [Decision()] * call.rows.count
            return Answer(id, version, call.route.arms[call.arm].name, Path.REVIEW, decisions, flags, b"")
    raise why


def _previous(call: Call, id: str) -> Answer | None:
    """None when there is no version before, or it cannot answer either."""
    previous = call.route.previous
    if previous is None:
        return None
    try:
        rows = call.reparse(previous.codec)
        batch = previous.codec.batch(rows)
        scores = previous.flavour.run(batch.numbers, batch.texts)
        if previous.guard.look(scores, rows.count) is not None:
            return None
    except (Rejected, OutputInvalid):
        return None
    except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises, the chain goes on
        print(f"fallback: version {previous.label} failed: {type(error).__name__}", file=sys.stderr)  # noqa: T201
        return None
    call.rows = rows  # the record names the previous version, so it holds that version's columns
    decisions = [previous.decide(row) for row in scores.tolist()]
    arm = call.route.arms[call.arm].name
    return Answer(id, previous, arm, Path.PREVIOUS_VERSION, decisions, batch.flags, scores.tobytes())


def _constant(call: Call, id: str, flags: list[Flag], value: object) -> Answer:
    version = call.version
    row = constant_scores(version, value)
    scores = np.tile(row, (call.rows.count, 1))
    decision = (
        Decision(value=float(row[0]))
        if version.contract.model.task is Task.REGRESSION
        else Decision(version.contract.outputs.classes[int(row.argmax())], None, None)
    )
    arm = call.route.arms[call.arm].name
    return Answer(id, version, arm, Path.CONSTANT, [decision] * call.rows.count, flags, scores.tobytes())


def constant_scores(version: Loaded, value: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A fixed answer as scores: the number itself, or all probability on the class. OutputInvalid for neither."""
    contract = version.contract
    if contract.model.task is Task.REGRESSION:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return np.array([float(value)])
    else:
        for index, name in enumerate(contract.outputs.classes):
            if name == value and isinstance(name, bool) == isinstance(value, bool):
                row = np.zeros(len(contract.outputs.classes))
                row[index] = 1.0
                return row
    raise OutputInvalid("the contract's constant fallback is no possible answer", field="fallback")
