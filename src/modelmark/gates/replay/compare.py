"""Answers of the staging server beside those of the champion and of the candidate without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers
from modelmark.domain.classes import class_text
from modelmark.domain.contract import Contract, DataType, Input
from modelmark.domain.metrics import Task
from modelmark.gates.common.asking import Array, Row, decisions
from modelmark.gates.common.traffic import Heard
from modelmark.gates.replay.requests import Request
from modelmark.stats.rates import wilson

if TYPE_CHECKING:
    import pandas as pd

_SLICE: Final = 30  # rows a slice must have to be shown
_MOVED: Final = 0.1  # standard deviations of the champion's answers, for regression
#: The server says that it has no time, not that something is wrong.
_BUSY: Final = (429, 503, 504)
_UNSENT: Final = "not sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One request and what came. scores: (rows, classes) or (rows, 1), None unless the model answered it."""

    request: Request
    heard: Heard
    scores: Array | None
    trouble: str  # what no server may do; empty when it did not

    @property
    def refused(self) -> bool:
        return 400 <= self.heard.status < 500 and self.heard.status != 429

    @property
    def replaced(self) -> bool:
        """Answered, but not by the model: the guard stopped it and the fallback spoke."""
        return self.heard.status == 200 and self.scores is None and not self.trouble

    @property
    def sent(self) -> bool:
        return self.heard.failure != _UNSENT

    @property
    def busy(self) -> bool:
        return not self.sent or self.heard.status in _BUSY or self.heard.failure.startswith("no answer within")


def unsent(request: Request) -> Heard:
    """What became of a request that the sending ended before."""
    return Heard(due=request.due, sent=request.due, done=request.due, failure=_UNSENT)


def read_answer(request: Request, heard: Heard, contract: Contract) -> Answered:
    """What the answer says, or what is wrong with it."""
    if heard.status != 200:
        answer = Answered(request=request, heard=heard, scores=None, trouble="")
        expected = answer.busy or 400 <= heard.status < 500
        return answer if expected else replace(answer, trouble=heard.failure)
    try:
        reply = json.loads(heard.body)
        if reply["served_by"] != "model":
            return Answered(request=request, heard=heard, scores=None, trouble="")
        scores = np.array([_scores(item, contract) for item in reply["predictions"]], dtype=np.float64)
    except (ValueError, KeyError, TypeError) as error:
        trouble = f"an answer that cannot be read: {type(error).__name__}: {error}"
        return Answered(request=request, heard=heard, scores=None, trouble=trouble)
    good = len(scores) == len(request.rows)
    return Answered(
        request=request, heard=heard, scores=scores if good else None, trouble="" if good else "another number of rows"
    )


def _scores(item: Mapping[str, Any], contract: Contract) -> list[float]:
    if contract.model.task is Task.REGRESSION:
        return [item["value"]]
    return [item["probabilities"][class_text(name)] for name in contract.outputs.classes]


def out_of_range(scores: Array, contract: Contract) -> int:
    """Rows whose answer is no finite number inside what the contract allows."""
    if contract.model.task is Task.REGRESSION:
        low, high = contract.outputs.minimum, contract.outputs.maximum
    else:
        low, high = -1e-6, 1 + 1e-6
    good = np.isfinite(scores)
    good &= scores >= (-np.inf if low is None else low)
    good &= scores <= (np.inf if high is None else high)
    return int((~good.all(axis=1)).sum())


def differs(champion: Array, candidate: Array, contract: Contract) -> NDArray[np.bool_]:
    """Rows decided otherwise; for regression, moved by more than a tenth of a standard deviation."""
    if contract.model.task is Task.REGRESSION:
        scale = float(np.std(champion)) or 1.0
        return np.asarray(np.abs(champion - candidate)[:, 0] > _MOVED * scale)
    return np.asarray(decisions(champion, contract) != decisions(candidate, contract))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """low, high: Wilson's interval, all slices together (Bonferroni)."""

    name: str
    n: int
    flipped: int
    low: float
    high: float
    mean_shift: float


def by_slice(
    rows: Sequence[Row], other: NDArray[np.bool_], shift: Array, contract: Contract, train: pd.DataFrame
) -> list[Slice]:
    """Known categories and quarters of training of every input with enough rows, the surest difference first."""
    found = [one for item in contract.inputs for one in _parts(item, rows, train) if one[1].sum() >= _SLICE]
    confidence = 1 - 0.05 / max(len(found), 1)
    slices = []
    for name, mask in found:
        n, flipped = int(mask.sum()), int(other[mask].sum())
        low, high = wilson(flipped, n, confidence)
        slices.append(Slice(name=name, n=n, flipped=flipped, low=low, high=high, mean_shift=float(shift[mask].mean())))
    return sorted(slices, key=lambda s: (-s.low, -s.flipped / s.n, s.name))


def _parts(item: Input, rows: Sequence[Row], train: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    values = [row[item.name] for row in rows]
    if item.categories is not None or item.type is DataType.BOOLEAN:
        for value in dict.fromkeys(v for v in values if v is not None):
            yield f"{item.name}={value}", np.array([v == value for v in values])
    elif item.type in (DataType.NUMBER, DataType.INTEGER):
        known = as_numbers(train[item.name])
        if not np.isfinite(known).any():
            return
        edges = np.unique(np.nanquantile(known, [0.25, 0.5, 0.75]))
        numbers = np.array([np.nan if v is None else float(v) for v in values])
        for low, high in zip([-np.inf, *edges], [*edges, np.inf], strict=True):
            words = f"{item.name} {'up to' if low == -np.inf else f'above {low:.4g} to'} {high:.4g}"
            yield words if high < np.inf else f"{item.name} above {low:.4g}", (numbers > low) & (numbers <= high)
