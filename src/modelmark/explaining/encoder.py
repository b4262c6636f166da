"""Table rows as numbers and back: explainers mix columns of rows, and need arrays for that."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.table import as_numbers, text_of
from modelmark.domain.contract import Contract, DataType

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
#: Rows as a table -> the endpoint's scores, (rows, classes) or (rows, 1).
Scores = Callable[["pd.DataFrame"], Array]


class RowEncoder:
    """Numbers stay themselves, text becomes the position of its value; NaN is null. Learned from the tables given."""

    def __init__(self, contract: Contract, *frames: pd.DataFrame) -> None:
        self.contract = contract
        self.names = tuple(item.name for item in contract.inputs)
        self.values: dict[int, list[str]] = {}
        self.coded = frozenset(place for place, item in enumerate(contract.inputs) if item.coded)
        for place, item in enumerate(contract.inputs):
            if item.nominal:
                seen = {_written(v) for frame in frames for v in frame[item.name].dropna().unique()}
                self.values[place] = sorted(seen)

    def encode(self, frame: pd.DataFrame) -> Array:
        columns = []
        for place, name in enumerate(self.names):
            if place in self.values:
                code = {value: float(k) for k, value in enumerate(self.values[place])}
                text = frame[name].astype(object).tolist()
                columns.append(
                    np.array([code.get(_written(v), np.nan) if v == v and v is not None else np.nan for v in text])
                )
            else:
                columns.append(as_numbers(frame[name]))
        return np.column_stack(columns).astype(np.float64)

    def decode(self, rows: Array) -> pd.DataFrame:
        import pandas as pd

        found = {}
        for place, name in enumerate(self.names):
            column = rows[:, place]
            if place in self.values:
                sent = map(float, self.values[place]) if place in self.coded else self.values[place]
                known = np.array([*sent, None], dtype=object)
                found[name] = known[np.where(np.isfinite(column), column, len(known) - 1).astype(int)]
            else:
                found[name] = column
        return pd.DataFrame(found)

    def nearest(self, rows: Array) -> Array:
        """Rows of the contract's types and ranges nearest to these."""
        found = rows.copy()
        for place, item in enumerate(self.contract.inputs):
            if place in self.values:
                continue
            bounds = (0.0, 1.0) if item.type is DataType.BOOLEAN else (item.minimum, item.maximum)
            if item.type in (DataType.INTEGER, DataType.BOOLEAN):
                found[:, place] = np.round(found[:, place])
                low, high = bounds  # between whole numbers: 109.5 is no age, and the endpoint would refuse it
                bounds = (None if low is None else np.ceil(low), None if high is None else np.floor(high))
            if bounds != (None, None):
                found[:, place] = np.clip(found[:, place], *bounds)
        return found

    def asker(self, scores: Scores, output: int) -> _Ask:
        return _Ask(self, scores, output)


def _written(value: object) -> str:
    """A text as it is; a code as `text_of` writes it."""
    return value if isinstance(value, str) else text_of(value)


class _Ask:
    """Coded rows -> one of the endpoint's scores. Counts what it asked; distinct rows are asked once a call."""

    def __init__(self, encoder: RowEncoder, scores: Scores, output: int) -> None:
        self.encoder, self.scores, self.output, self.asked = encoder, scores, output, 0

    def __call__(self, rows: Array) -> Array:
        distinct, place = np.unique(rows, axis=0, return_inverse=True)
        self.asked += len(distinct)
        found = self.scores(self.encoder.decode(distinct))
        return np.asarray(found[:, self.output][place.reshape(-1)])
