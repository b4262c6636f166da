"""What answers when the model cannot: the contract's chain, step by step, and the answer says which step it was."""

from __future__ import annotations

from typing import Final

import numpy as np

from modelmark.contract.rows import Flag
from modelmark.domain.classes import class_index
from modelmark.domain.contract import FallbackKind
from modelmark.domain.errors import ModelmarkError, OutputInvalid, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.strict import Scalar
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.models import LoadedModel
from modelmark.serving.telling import tell_again

#: With no time left, nothing that computes is asked.
_COMPUTES: Final = frozenset({FallbackKind.PREVIOUS_VERSION})


def is_slow(request: PredictRequest, *, in_time: bool) -> bool:
    """Whether the chain may hold the event loop: it asks the previous version, and that one is slow."""
    previous = request.previous
    if previous is None or not in_time or previous.execution.fits_loop(request.rows.count):
        return False
    return any(step.kind in _COMPUTES for step in request.version.contract.fallback)


def answer(request: PredictRequest, id: str, flags: list[Flag], why: ModelmarkError, *, in_time: bool) -> Answer:
    """The first step of the chain that can answer. Raises `why` when none can."""
    version = request.version
    arm = request.route.arms[request.arm].name
    for step in version.contract.fallback:
        if step.kind in _COMPUTES and not in_time:
            continue
        if step.kind is FallbackKind.PREVIOUS_VERSION:
            found = _previous(request, id)
            if found is not None:
                return found
        elif step.kind is FallbackKind.CONSTANT:
            return _constant(request, id, flags, step.value)
        else:
            return Answer(id, version, arm, ServedBy.REVIEW, [], flags, [], b"", request.rows)
    raise why


def _previous(request: PredictRequest, id: str) -> Answer | None:
    """None when there is no version before, or it cannot answer either."""
    previous = request.previous
    if previous is None:
        return None
    try:
        rows = request.reparse(previous.codec)
        batch = previous.codec.batch(rows)
        scores = previous.execution.run(batch.numbers, batch.texts)
        if previous.guard.check(scores, rows.count) is not None:
            return None
    except (Rejected, OutputInvalid):
        return None
    except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises, the chain goes on
        tell_again(f"fallback: version {previous.label} failed: {type(error).__name__}")
        return None
    flat: list[float] = scores.ravel().tolist()
    arm = request.route.arms[request.arm].name
    # The record names the previous version, so it holds that version's columns.
    return Answer(
        id, previous, arm, ServedBy.PREVIOUS_VERSION, previous.decide(flat), batch.flags, flat, scores.tobytes(), rows
    )


def _constant(request: PredictRequest, id: str, flags: list[Flag], value: object) -> Answer:
    version = request.version
    row = constant_scores(version, value)
    scores = np.tile(row, (request.rows.count, 1))
    decided = [] if version.decide.regression else [int(row.argmax())] * request.rows.count
    flat, arm = scores.ravel().tolist(), request.route.arms[request.arm].name
    return Answer(id, version, arm, ServedBy.CONSTANT, decided, flags, flat, scores.tobytes(), request.rows)


def constant_scores(version: LoadedModel, value: object) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A fixed answer as scores: the number itself, or all probability on the class. OutputInvalid for neither."""
    contract = version.contract
    if contract.model.task is Task.REGRESSION:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return np.array([float(value)])
    else:
        index = class_index(contract.outputs.classes, value) if isinstance(value, Scalar) else None
        if index is not None:
            row = np.zeros(len(contract.outputs.classes))
            row[index] = 1.0
            return row
    raise OutputInvalid("the contract's constant fallback is no possible answer", field="fallback")
