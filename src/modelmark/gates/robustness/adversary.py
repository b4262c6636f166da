"""Looking for a small change of one row that flips its decision: by trying values, or by an attack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.dtypes import with_columns
from modelmark.domain.catalogue.gate_settings import Attack
from modelmark.domain.classes import positive_of
from modelmark.domain.contract import Contract, DataType, Input, Mutability
from modelmark.domain.metrics import Task
from modelmark.domain.ports import Predictor
from modelmark.gates.case import Array
from modelmark.gates.robustness import perturb
from modelmark.gates.robustness.art_attacks import closest
from modelmark.gates.robustness.perturbation_set import Mask, PerturbationSet
from modelmark.stats.metrics import judged

_LEAST: Final = 1e-6
_HALVINGS: Final = 8


def flips(
    sample: PerturbationSet, predictor: Predictor, edit: tuple[Input, list[Any]], rows: NDArray[np.int64], first: Array
) -> Mask:
    """Which of the rows some allowed value of this one field decides otherwise."""
    import pandas as pd

    (item, values), frame = edit, sample.frame.iloc[rows].reset_index(drop=True)
    copies, owners = [], []
    for value in values:
        may = perturb.allowed(item, frame[item.name], value)
        if may.any():
            copies.append(with_columns(frame[may], {item.name: value}))
            owners.append(np.flatnonzero(may))
    flipped = np.zeros(len(rows), dtype=bool)
    if copies:
        said, owner = sample.decide(predictor, pd.concat(copies, ignore_index=True)), np.concatenate(owners)
        changed = np.isfinite(said) & (said != first[rows][owner])
        flipped[owner[changed]] = True
    return flipped


def attacked(
    sample: PerturbationSet,
    predictor: Predictor,
    moving: tuple[perturb.Field, ...],
    row: dict[str, Any],
    how: tuple[Attack, int],
) -> float:
    """Largest change of any column, in spreads, that the attack needed to flip this row; infinity when it did not."""
    start = np.array([np.nan if row[f.item.name] is None else float(row[f.item.name]) for f in moving])
    present = np.isfinite(start)
    fields, start = [f for f, here in zip(moving, present, strict=True) if here], start[present]
    if not fields:
        return float("inf")
    low, width = np.array([f.low for f in fields]), np.array([max(f.high - f.low, 1e-12) for f in fields])

    def meant(points: Array) -> Array:
        """Points of 0..1 as values the contract and mutability allow, shape (n, columns)."""
        raw = low + np.clip(points, 0, 1) * width
        for k, one in enumerate(fields):
            raw[:, k] = one.fit(raw[:, k])
            if one.item.mutability is Mutability.INCREASE:
                raw[:, k] = np.maximum(raw[:, k], start[k])
            elif one.item.mutability is Mutability.DECREASE:
                raw[:, k] = np.minimum(raw[:, k], start[k])
        return np.asarray(raw)

    def scores(points: Array) -> Array:
        values = meant(points)
        sent = [{**row, **_typed(fields, value)} for value in values]
        size = sample.contract.serving.max_rows
        parts = [predictor.predict(sent[at : at + size]) for at in range(0, len(sent), size)]
        return np.asarray([answer for part in parts for answer in part], dtype=np.float64)

    def ask(points: Array) -> Array:
        return by_argmax(scores(points), sample.contract)

    def decided(point: Array) -> int:
        return int(judged(sample.contract, np.zeros(1, dtype=np.int64), scores(point[None])).decisions()[0])

    begin = np.clip((start - low) / width, 0, 1)
    end = closest(how[0], ask, begin, len(sample.contract.outputs.classes), how[1])
    if decided(end) == (usual := decided(begin)):
        return float("inf")
    end = _drawn_in(begin, end, lambda point: decided(point) != usual)
    spreads = np.array([f.spread for f in fields])
    return float(np.max(np.abs(meant(end[None])[0] - start) / spreads))


def _drawn_in(begin: Array, end: Array, flips: Callable[[Array], bool]) -> Array:
    """The nearest flipping point found by halving the way from begin to end: HopSkipJump stops after a step outwards."""
    kept, near, far = end, 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        point = begin + middle * (end - begin)
        if flips(point):
            kept, far = point, middle
        else:
            near = middle
    return kept


def by_argmax(scores: Array, contract: Contract) -> Array:
    """Scores whose largest is the class decided: of two classes, bent so that the contract's threshold lies at a half.

    An attack knows no threshold and would search the boundary where both scores are equal.
    """
    if contract.model.task is not Task.BINARY:
        return scores
    threshold, positive = contract.outputs.threshold, positive_of(contract)
    p = scores[:, positive]
    above = 0.5 + 0.5 * np.maximum((p - threshold) / max(1 - threshold, _LEAST), _LEAST)  # on the threshold is above it
    bent = np.where(p >= threshold, above, 0.5 * p / max(threshold, _LEAST))
    return np.column_stack([bent, 1 - bent] if positive == 0 else [1 - bent, bent])


def _typed(fields: Sequence[perturb.Field], values: Array) -> dict[str, Any]:
    return {
        f.item.name: int(v) if f.item.type is DataType.INTEGER else float(v)
        for f, v in zip(fields, values, strict=True)
    }
