"""Rows that are nearly other rows, by a k-d tree whose search ends at the tolerance: O(n log n)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.metrics import Array

_APART = 10.0  # texts that differ are this far apart, which is far beyond any tolerance


def places(numbers: Mapping[str, Sequence[Array]], texts: Mapping[str, Sequence[Sequence[str | None]]]) -> list[Array]:
    """Rows of several tables as points: numbers in standard deviations of the first table, texts as codes far apart.

    numbers, texts: column -> its values in each table. Null is a place of its own.
    """
    columns: list[list[Array]] = []
    for values in numbers.values():
        known = values[0][np.isfinite(values[0])]
        scale = float(known.std()) or 1.0 if len(known) else 1.0
        columns.append([np.where(np.isfinite(v), v / scale, -1e6) for v in values])
    for sides in texts.values():
        codes: dict[str | None, float] = {}
        columns.append([np.array([codes.setdefault(v, len(codes) * _APART) for v in side]) for side in sides])
    count = len(columns[0]) if columns else 0
    return [np.column_stack([column[i] for column in columns]) for i in range(count)]


def near_duplicates(points: Array, among: Array, tolerance: float, *, own: bool = False) -> NDArray[np.bool_]:
    """Which points have a neighbour within the tolerance in every column that is not an exact copy.

    own: the points are the first of `among`, and no point is its own neighbour. A point with an exact copy elsewhere
    counts as having none: copies are counted by whoever looks for copies.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(among, balanced_tree=False, compact_nodes=False)
    distance, _ = tree.query(points, k=2 if own else 1, p=np.inf, distance_upper_bound=tolerance * (1 + 1e-9))
    nearest = distance[:, 1] if own else distance
    return np.asarray((nearest > 1e-12) & np.isfinite(nearest), dtype=np.bool_)
