"""What monitors compare with: the training table, described once, when a version is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.proposals.row_order import ordered_columns
from modelmark.contract.timestamps import in_microseconds, timestamps
from modelmark.domain.contract import Contract
from modelmark.gates.case import judged_holdout
from modelmark.gates.common.clocks import ROW_ORDER, clocks
from modelmark.stats.profile import Times, reference

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]


def describe(contract: Contract, train: pd.DataFrame, holdout: pd.DataFrame, scores: Array) -> bytes:
    """The bytes of reference.json. scores: those of the holdout, row by row, or of as many as there are."""
    names = [item.name for item in contract.inputs]
    when = _times(contract, train), _times(contract, holdout)
    scored = when[1] if when[1] is not None and len(when[1]) == len(scores) else None
    found = clocks(train, holdout, names, contract.data.time)
    counters = tuple(ordered_columns(train, holdout, names)) if contract.data.time is None else ()
    times = Times(train=when[0], scored=scored, clocks=found, counters=counters)
    whole = contract.data.target in holdout and len(scores) == len(holdout)
    judged = judged_holdout(contract, holdout, scores) if whole else None
    return reference(contract, train, scores, times, judged)


def _times(contract: Contract, table: pd.DataFrame) -> Array | None:
    """When each row was, in microseconds since 1970; None where there is no time, or only an order. Times that name no zone
    are UTC."""
    name = contract.data.time
    if name is None or name == ROW_ORDER or name not in table:
        return None
    found = in_microseconds(timestamps(table[name]))
    return found if np.isfinite(found).any() else None
