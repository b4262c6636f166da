"""Where is the loss high? Conjunctions of at most two conditions, searched on some rows and confirmed on others.

The search is linear algebra over condition masks, after SliceLine (Sagadeeva & Boehm 2021, SIGMOD). What it finds is
the best of thousands, so its own figures flatter it: only `gap_of` on rows the search has not seen says anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import NotEnoughData
from modelmark.stats.metrics import Array, total

Mask = NDArray[np.bool_]
_EDGES: Final = (0.03, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97)
_CATEGORIES: Final = 15
#: A slice of a larger share of the rows is the whole, rather.
WIDEST: Final = 0.75
_MOST: Final = 400  # conditions that are paired with each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """One condition. mask: shape (rows,)."""

    column: str
    text: str
    mask: Mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A slice's mean loss less the whole's. p_value: of a true gap of at most the tolerance."""

    rows: int
    estimate: float
    low: float
    high: float
    p_value: float


def number_conditions(name: str, values: Array) -> list[Where]:
    """Tails, tenths between quantiles, and null; equal conditions once. values: float64, NaN for null."""
    known = np.isfinite(values)
    found = [Where(column=name, text=f"{name} is missing", mask=~known)] if (~known).any() else []
    if not known.any():
        return found
    edges = np.unique(np.quantile(values[known], _EDGES))
    if len(np.unique(values[known])) <= 12:
        return found + [
            Where(column=name, text=f"{name} = {v:.6g}", mask=values == v) for v in np.unique(values[known])
        ]
    for at in edges:
        found.append(Where(column=name, text=f"{name} < {at:.6g}", mask=known & (values < at)))
        found.append(Where(column=name, text=f"{name} ≥ {at:.6g}", mask=known & (values >= at)))
    for low, high in pairwise(edges):
        inside = known & (values >= low) & (values < high)
        found.append(Where(column=name, text=f"{low:.6g} ≤ {name} < {high:.6g}", mask=inside))
    return found


def text_conditions(name: str, values: Sequence[str | None]) -> list[Where]:
    """The commonest values, each one condition, and null."""
    counted = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0] is not None, item[0] or ""))
    return [
        Where(
            column=name,
            text=f"{name} is missing" if value is None else f"{name} = {value}",
            mask=np.array([v == value for v in values], dtype=np.bool_),
        )
        for value, _ in counted[:_CATEGORIES]
    ]


def search(
    conditions: Sequence[Where],
    loss: Array,
    *,
    min_rows: int,
    top: int = 10,
    keep: Callable[[tuple[Where, ...]], bool] = lambda _: True,
) -> list[tuple[Where, ...]]:
    """The slices whose loss is the most surely above the mean, best first; near copies of a better one left out.

    keep: whether a slice is worth a place, by other things than its loss.
    """
    useful = [c for c in conditions if min_rows <= c.mask.sum() <= WIDEST * len(loss)]
    if not useful:
        return []
    if len(useful) > _MOST:
        alone = [_bound_of(c.mask, loss) for c in useful]
        useful = [useful[i] for i in sorted(np.argsort(alone)[::-1][:_MOST])]
    bound = _pairs(useful, loss, min_rows)
    chosen: list[tuple[Where, ...]] = []
    masks: list[Mask] = []
    for flat in np.argsort(bound, axis=None)[::-1][: 50 * top]:
        i, j = divmod(int(flat), len(useful))
        if len(chosen) == top or not np.isfinite(bound[i, j]) or bound[i, j] <= 0:
            break
        parts = (useful[i],) if i == j else (useful[i], useful[j])
        mask = useful[i].mask & useful[j].mask
        if any((mask & m).sum() > 0.5 * (mask | m).sum() for m in masks) or not keep(parts):
            continue
        chosen.append(parts)
        masks.append(mask)
    return chosen


def _pairs(useful: Sequence[Where], loss: Array, min_rows: int) -> Array:
    """Lower bound of the gap of every pair of conditions, shape (conditions, conditions); the diagonal is one alone."""
    ones = np.column_stack([c.mask for c in useful]).astype(np.float32)
    count, total, square = (
        np.asarray(ones.T @ (ones * weight[:, None].astype(np.float32)), dtype=np.float64)
        for weight in (np.ones(len(loss)), loss, loss**2)
    )
    column = np.array([c.column for c in useful], dtype=object)
    allowed = (column[:, None] != column[None, :]) | np.eye(len(useful), dtype=bool)
    allowed &= (count >= min_rows) & np.triu(np.ones_like(count, dtype=bool))
    found = np.full(count.shape, -np.inf)
    found[allowed] = _bound(count[allowed], total[allowed], square[allowed], loss)
    return found


def _bound(count: Array | float, total: Array | float, square: Array | float, loss: Array) -> Array:
    """Mean less two and a half standard errors, above the whole; the spread of few rows leans on that of all."""
    mean = np.asarray(total) / count
    spread = np.maximum((square - count * mean**2 + loss.var()) / (count + 1), 0)
    return np.asarray(mean - loss.mean() - 2.5 * np.sqrt(spread / count), dtype=np.float64)


def gap_of(
    mask: Mask,
    loss: Array,
    *,
    tolerance: float,
    confidence: float,
    comparisons: int = 1,
    units: NDArray[np.int64] | None = None,
) -> Gap:
    """The gap with a two-sided interval, widened for `comparisons` of them (Bonferroni). Student's t over units.

    The whole is a sample too, and the slice a part of it: each row counts by what it adds to the one less the other.
    Raises NotEnoughData for fewer than two units in the slice.
    """
    from scipy.stats import t

    inside = loss[mask]
    groups = np.arange(len(inside)) if units is None else np.unique(units[mask], return_inverse=True)[1]
    count = int(groups.max()) + 1 if len(inside) else 0
    if count < 2:
        raise NotEnoughData(f"{len(inside)} rows are too few to measure a slice on")
    mean, whole = float(inside.mean()), float(loss.mean())
    found = mean - whole
    adds = np.where(mask, (loss - mean) / len(inside), 0.0) - (loss - whole) / len(loss)
    together = adds if units is None else np.bincount(units, adds)
    # One row's worth of the whole's spread: ten equal losses are not certainty.
    variance = float((together**2).sum()) + float(loss.var()) / len(inside) ** 2
    spread = float(np.sqrt(variance * count / (count - 1)))
    reach = float(t.ppf(1 - (1 - confidence) / 2 / comparisons, count - 1)) * spread
    p_value = float(t.sf((found - tolerance) / spread, count - 1)) if spread > 0 else float(found <= tolerance)
    return Gap(rows=len(inside), estimate=found, low=found - reach, high=found + reach, p_value=p_value)


def strongest(
    columns: Iterable[Sequence[Where]], first: Mask, loss: Array, *, min_rows: int, most: int = 40
) -> list[Where]:
    """The conditions of the columns that look worst on the first half, when there are more columns than `most`.

    first: which rows of each mask that half is, `loss` being theirs. A column weak only beside another may be lost.
    """
    ranked: list[tuple[float, int, Sequence[Where]]] = []
    for place, conditions in enumerate(columns):
        found = [c.mask[first] for c in conditions]
        bounds = [_bound_of(mask, loss) for mask in found if mask.sum() >= min_rows]
        ranked.append((max(bounds, default=-np.inf), -place, conditions))
        if len(ranked) > 2 * most:
            ranked = sorted(ranked, key=lambda item: item[:2], reverse=True)[:most]
    chosen = sorted(ranked, key=lambda item: item[:2], reverse=True)[:most]
    return [where for _, _, conditions in sorted(chosen, key=lambda item: -item[1]) for where in conditions]


def _bound_of(mask: Mask, loss: Array) -> float:
    inside = loss[mask]
    return float(_bound(float(len(inside)), float(inside.sum()), total(inside, inside), loss))
