"""Rows whose score lies next to the threshold: what the smallest admissible edits do to their decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from modelmark.contract.table import as_numbers, rows_of
from modelmark.domain.contract import DataType, Input
from modelmark.domain.metrics import Task
from modelmark.gates.case import Case
from modelmark.gates.common.asking import Array, Row, ask, decisions, score_of
from modelmark.stats.rounding import distance

_ROWS: Final = 50
_ASKED: Final = 5000  # holdout rows among which the nearest are looked for
_COLUMNS: Final = 30
_STEP: Final = 1e-3  # of a column's interquartile range; 1 for integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Boundary:
    """rows: nearest to the threshold. edits: all tried on them. flipped: rows of which some edit flips the decision.

    moved: largest change of a score. worst: which edit did that. unanswered: edits that got no finite answer.
    """

    rows: int
    edits: int
    flipped: int
    moved: float
    worst: str
    unanswered: tuple[tuple[str, str], ...]


def near_boundary(case: Case, good: list[int]) -> Boundary | None:
    """None for regression, which decides nothing, and where nothing numeric can be edited."""
    contract = case.contract
    items = [i for i in contract.inputs if i.quantity][:_COLUMNS]
    if contract.model.task is Task.REGRESSION or not items:
        return None
    rng = np.random.default_rng(0)
    places = np.sort(rng.choice(good, _ASKED, replace=False)) if len(good) > _ASKED else np.array(good)
    rows = rows_of(case.holdout.iloc[places], contract)
    scores = ask(case.predictor, rows, contract).scores
    nearest = np.argsort(_margin(scores, case), kind="stable")[:_ROWS]
    steps = {item.name: _step(case, item) for item in items}
    edited: list[tuple[int, str, Row]] = []
    for at in nearest:
        edited += [(int(at), what, row) for what, row in _edits(rows[at], items, steps)]
    return _compare(case, [int(places[at]) for at in nearest], edited, scores)


def _margin(scores: Array, case: Case) -> Array:
    """How far each row is from another decision, in score."""
    if case.contract.model.task is Task.BINARY:
        margin = np.abs(score_of(scores, case.contract) - case.contract.outputs.threshold)
    else:
        ordered = np.sort(scores, axis=1)
        margin = ordered[:, -1] - ordered[:, -2]
    return np.asarray(np.where(np.isfinite(margin), margin, np.inf))


def _step(case: Case, item: Input) -> float:
    if item.type is DataType.INTEGER:
        return 1.0
    values = as_numbers(case.train[item.name])
    low, high = np.nanquantile(values, [0.25, 0.75]) if np.isfinite(values).any() else (0.0, 1.0)
    return float((high - low) or np.nanstd(values) or 1.0) * _STEP


def _edits(row: Row, items: list[Input], steps: dict[str, float]) -> list[tuple[str, Row]]:
    found: list[tuple[str, Row]] = []
    for item in items:
        value = row[item.name]
        for side in (-1, 1) if value is not None else ():
            moved = type(value)(value + side * steps[item.name])
            inside = (item.minimum is None or moved >= item.minimum) and (item.maximum is None or moved <= item.maximum)
            if inside:
                found.append((f"{item.name} {value:.6g} to {moved:.6g}", {**row, item.name: moved}))
    return found


def _compare(case: Case, places: list[int], edited: list[tuple[int, str, Row]], scores: Array) -> Boundary:
    asked = ask(case.predictor, [row for _, _, row in edited], case.contract)
    origin = np.array([at for at, _, _ in edited], dtype=np.int64)
    before = scores[origin]
    moved = np.nan_to_num(distance(before, asked.scores)) if len(edited) else np.zeros(1)
    flips = decisions(before, case.contract) != decisions(asked.scores, case.contract)
    answered = np.isfinite(asked.scores).all(axis=1)
    at = int(moved.argmax())
    return Boundary(
        rows=len(places),
        edits=len(edited),
        flipped=len({int(row) for row in origin[flips & answered]}),
        moved=float(moved[at]),
        worst=edited[at][1] if edited else "",
        unanswered=tuple(
            (f"near the threshold: {edited[i][1]}", f"{asked.refused[i].code}" if i in asked.refused else "no number")
            for i in np.flatnonzero(~answered).tolist()
        ),
    )
