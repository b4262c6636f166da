"""Rows of two samples as bins of the first: what two tables are compared over."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from modelmark.stats.metrics import Array

Codes = NDArray[np.int64]


def numeric_codes(first: Array, second: Array, bins: int = 20) -> tuple[Codes, Codes]:
    """Each row's bin among quantile bins of the first sample; the last bin is null (NaN)."""
    known = first[np.isfinite(first)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([0.0])

    def code(values: Array) -> Codes:
        inside = np.searchsorted(edges, values, side="left")
        return np.where(np.isfinite(values), inside, len(edges) + 1).astype(np.int64)

    return code(first), code(second)


def text_codes(first: list[str | None], second: list[str | None], most: int = 50) -> tuple[Codes, Codes]:
    """Each row's bin: the first sample's commonest values, then one for all others and one for null."""
    names = [value for value, _ in Counter(first).most_common() if value is not None][:most]
    place: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    place[None] = len(names) + 1

    def code(values: list[str | None]) -> Codes:
        return np.array([place.get(value, len(names)) for value in values], dtype=np.int64)

    return code(first), code(second)
