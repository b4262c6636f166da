"""Which rows of a column meet a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, as_texts, text_of
from modelmark.domain.catalogue.condition import Condition

if TYPE_CHECKING:
    import pandas as pd


def holds(condition: Condition, column: pd.Series) -> NDArray[np.bool_]:
    """Shape (rows,). Values are compared as texts, where 12.0 is 12; booleans also match 0 and 1."""
    null = column.isna().to_numpy()
    mask = np.ones(len(column), dtype=np.bool_)
    if condition.missing is not None:
        mask &= null == condition.missing
    if condition.any_of is not None:
        wanted = {text_of(value) for value in condition.any_of}
        wanted |= {str(int(value)) for value in condition.any_of if isinstance(value, bool)}
        mask &= as_texts(column).isin(wanted).to_numpy() & ~null
    if condition.at_least is not None:
        mask &= as_numbers(column) >= condition.at_least
    if condition.below is not None:
        mask &= as_numbers(column) < condition.below
    return mask
