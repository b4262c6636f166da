"""Rows that stand for "not known": made up, column by column, from what a version keeps of its training data, so that no
person's row has to lie beside a model. What columns have to do with each other is lost in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.contract import Contract, DataType, Input
from modelmark.stats.profile import Column, Reference

if TYPE_CHECKING:
    import pandas as pd


def background(contract: Contract, reference: Reference, rows: int, seed: int = 0) -> pd.DataFrame:
    """So many rows within the contract, the same for the same seed; None is null."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {item.name: _drawn(item, reference.columns[item.name], rows, rng) for item in contract.inputs}, dtype=object
    )


def _drawn(item: Input, column: Column, rows: int, rng: np.random.Generator) -> list[Any]:
    counts = column.histogram(column.counts).astype(np.float64)
    if not item.nullable:
        counts[-1] = 0
    if not column.numeric:
        counts[-2] = 0  # values that are not known
        values: list[Any] = [float(value) if item.coded else value for value in column.values]
        return _chosen(counts, [*values, None, None], rows, rng)
    low, high = _bounds(column)
    counts = counts if counts.sum() else np.r_[np.ones(len(counts) - 1), 0.0]
    places = rng.choice(len(counts), size=rows, p=counts / counts.sum())
    known = np.minimum(places, len(low) - 1)
    found = rng.uniform(low[known], high[known])
    if item.type in (DataType.INTEGER, DataType.BOOLEAN):  # bins hold their upper edge and not their lower one
        found = np.maximum(np.ceil(found), np.minimum(np.floor(low[known]) + 1, np.floor(high[known])))
    found = np.clip(found, item.minimum, item.maximum) if (item.minimum, item.maximum) != (None, None) else found
    return [None if place == len(counts) - 1 else float(value) for place, value in zip(places, found, strict=True)]


def _bounds(column: Column) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each bin; those at the ends are as wide as nothing is known of them: a point."""
    if not len(column.edges):
        middle = np.array([0.0 if column.minimum is None else column.minimum])
        return middle, middle
    return np.r_[column.edges[:1], column.edges], np.r_[column.edges, column.edges[-1:]]


def _chosen(counts: NDArray[np.float64], values: list[Any], rows: int, rng: np.random.Generator) -> list[Any]:
    if not counts.sum():
        counts = np.r_[np.ones(len(counts) - 2), 0.0, 0.0] if len(counts) > 2 else np.r_[np.zeros(len(counts) - 1), 1.0]
    return [values[place] for place in rng.choice(len(counts), size=rows, p=counts / counts.sum())]
