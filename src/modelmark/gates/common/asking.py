"""Many single questions to a predictor: scores where it answers, the refusal where it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import Violation, violating_rows
from modelmark.domain.classes import class_index, positive_of
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError, OutputInvalid, Rejected, Unmeasured
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.domain.strict import Scalar
from modelmark.stats.decisions import decided

Array = NDArray[np.float64]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """scores: (rows, classes) or (rows, 1), NaN where refused. refused: place -> the error, also the guard's."""

    scores: Array
    refused: Mapping[int, ModelmarkError]


def ask(
    predictor: Predictor,
    rows: Sequence[Row],
    contract: Contract,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Asked:
    """Every row, in batches; a refused batch is halved until the refused rows stand alone."""
    width = 1 if contract.model.task is Task.REGRESSION else len(contract.outputs.classes)
    scores, refused = np.full((len(rows), width), np.nan), dict[int, ModelmarkError]()
    size = min(contract.serving.max_rows, 10_000)
    for start in range(0, len(rows), size):
        _ask(predictor, rows, start, min(start + size, len(rows)), scores, refused)
        progress(start, len(rows))
    return Asked(scores, refused)


def _ask(
    predictor: Predictor, rows: Sequence[Row], start: int, end: int, scores: Array, refused: dict[int, ModelmarkError]
) -> None:
    try:
        got = np.asarray(predictor.predict(rows[start:end]), dtype=np.float64)
    except (Rejected, OutputInvalid) as error:
        if end - start == 1:
            refused[start] = error
            return
        middle = (start + end) // 2
        _ask(predictor, rows, start, middle, scores, refused)
        _ask(predictor, rows, middle, end, scores, refused)
        return
    if got.shape != (end - start, scores.shape[1]):
        raise Unmeasured(f"the model answers an array of shape {got.shape}; {(end - start, scores.shape[1])} was due")
    scores[start:end] = got


def known_class(contract: Contract, name: Scalar) -> int:
    """Position of a class that settings name. Raises Unmeasured for none of the contract's."""
    found = class_index(contract.outputs.classes, name)
    if found is None:
        raise Unmeasured(f"{name!r} is none of the classes", code="NO_CLASS")
    return found


def score_of(scores: Array, contract: Contract, which: Scalar | None = None) -> Array:
    """The one score of each row: of the named class, of the positive one, or the value."""
    if contract.model.task is Task.REGRESSION:
        return np.asarray(scores[:, 0])
    if which is not None:
        return np.asarray(scores[:, known_class(contract, which)])
    return np.asarray(scores[:, positive_of(contract)])


def decisions(scores: Array, contract: Contract) -> NDArray[np.int64]:
    """Positions of the decided classes, as the endpoint decides; -1 where there is no answer. Not for regression."""
    known = np.asarray(np.isfinite(scores).all(axis=1))
    filled = np.where(known[:, None], scores, 0.0)
    positive = positive_of(contract) if contract.model.task is Task.BINARY else None
    found = decided(filled, positive=positive, threshold=contract.outputs.threshold)
    return np.asarray(np.where(known, found, -1), dtype=np.int64)


def good_places(violations: Sequence[Violation], rows: int) -> list[int]:
    """Places of the rows that the endpoint answers, of a table with so many."""
    bad = set(violating_rows(violations))
    return [i for i in range(rows) if i not in bad]
