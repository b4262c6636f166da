"""What monitors compare with: the training table, described once, when a version is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.proposals.row_order import ordered_columns
from modelmark.contract.timestamps import timestamps
from modelmark.domain.contract import Contract
from modelmark.gates.common.clocks import ROW_ORDER, clocks
from modelmark.stats.profile import Times, reference

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
#: Microseconds in the unit of a column of numbers, by the size of its median: seconds, milliseconds, microseconds since 1970.
_UNITS: Final = ((3e8, 1e10, 1e6), (3e11, 1e13, 1e3), (3e14, 1e16, 1.0))


def describe(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame, scores: Array) -> bytes:
    """The bytes of reference.json. scores: those of the holdout, row by row, or of as many as there are."""
    names = [item.name for item in contract.inputs]
    when = _times(contract, train), _times(contract, holdout)
    scored = when[1] if when[1] is not None and len(when[1]) == len(scores) else None
    found = clocks(train, holdout, names, contract.data.time)
    counters = tuple(ordered_columns(train, holdout, names)) if contract.data.time is None else ()
    return reference(contract, train, scores, Times(train=when[0], scored=scored, clocks=found, counters=counters))


def _times(contract: Contract, table: pd.DataFrame) -> Array | None:
    """When each row was, in microseconds since 1970; None where there is no time, or only an order. Times that name no zone
    are UTC."""
    name = contract.data.time
    if name is None or name == ROW_ORDER or name not in table:
        return None
    return moments(table[name])


def moments(column: pd.Series) -> Array | None:
    """A column as microseconds since 1970, NaN where there is none; None where it says an order alone."""
    values = timestamps(column)
    known = np.abs(values[np.isfinite(values)])
    middle = float(np.median(known)) if len(known) else 0.0
    return next((values * unit for least, most, unit in _UNITS if least <= middle < most), None)
