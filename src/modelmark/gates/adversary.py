"""Looking for a small change of one row that flips its decision: by trying values, or by an attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Input, Kind, Mutability
from modelmark.domain.gate_settings import Attack
from modelmark.domain.ports import Predictor
from modelmark.gates import perturb
from modelmark.gates.art_attacks import closest
from modelmark.gates.case import Array, judged
from modelmark.gates.trial import Mask, Trial


def flips(
    scene: Trial, predictor: Predictor, edit: tuple[Input, list[Any]], rows: NDArray[np.int64], first: Array
) -> Mask:
    """Which of the rows some allowed value of this one field decides otherwise."""
    import pandas as pd

    (item, values), frame = edit, scene.frame.iloc[rows].reset_index(drop=True)
    copies, owners = [], []
    for value in values:
        may = perturb.allowed(item, frame[item.name], value)
        if may.any():
            copies.append(frame[may].assign(**{item.name: value}))
            owners.append(np.flatnonzero(may))
    flipped = np.zeros(len(rows), dtype=bool)
    if copies:
        said, owner = scene.decide(predictor, pd.concat(copies, ignore_index=True)), np.concatenate(owners)
        changed = np.isfinite(said) & (said != first[rows][owner])
        flipped[owner[changed]] = True
    return flipped


def attacked(
    scene: Trial,
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

    def ask(points: Array) -> Array:
        values = meant(points)
        sent = [{**row, **_typed(fields, value)} for value in values]
        size = scene.contract.serving.max_rows
        parts = [predictor.predict(sent[at : at + size]) for at in range(0, len(sent), size)]
        return np.asarray([scores for part in parts for scores in part], dtype=np.float64)

    def decided(point: Array) -> int:
        return int(judged(scene.contract, np.zeros(1, dtype=np.int64), ask(point[None])).decisions()[0])

    begin = np.clip((start - low) / width, 0, 1)
    end = closest(how[0], ask, begin, len(scene.contract.outputs.classes), how[1])
    if decided(end) == decided(begin):
        return float("inf")
    spreads = np.array([f.spread for f in fields])
    return float(np.max(np.abs(meant(end[None])[0] - start) / spreads))


def _typed(fields: Sequence[perturb.Field], values: Array) -> dict[str, Any]:
    return {
        f.item.name: int(v) if f.item.type is Kind.INTEGER else float(v) for f, v in zip(fields, values, strict=True)
    }
