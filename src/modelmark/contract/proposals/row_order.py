"""Columns that go with the order of rows: what never goes back along them is time, or a count that grows with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.timestamps import timestamps

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
#: Share of steps that may go back, and of rows that must have a value.
BACK: Final = 0.001
KNOWN: Final = 0.9
#: Distinct values from which nobody takes rows that are sorted by two or three kinds for time.
_LEAST: Final = 5


def runs(values: Array, least: int) -> bool:
    """Whether the values, in order, never go back. least: distinct ones."""
    known = values[np.isfinite(values)]
    if len(known) < KNOWN * len(values) or len(np.unique(known)) < min(least, len(values)):
        return False
    return bool((np.diff(known) < 0).mean() <= BACK)


def is_dated(column: pd.Series) -> bool:
    """Numbers, dates, and texts that are dates."""
    if column.dtype.kind in "iufM":
        return True
    known = column.dropna().head(50).astype(str)
    return bool(len(known) and known.str.match(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}").all())


def ordered_columns(train: pd.DataFrame, holdout: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """Those that never go back along the rows of train and then of the holdout."""
    import pandas as pd

    for name in names:
        if is_dated(train[name]):
            at = timestamps(pd.concat([train[name], holdout[name]], ignore_index=True))
            before, after = at[: len(train)], at[len(train) :]
            if runs(before, _LEAST) and runs(at, _LEAST) and (after < np.nanmax(before)).mean() <= BACK:
                yield name
