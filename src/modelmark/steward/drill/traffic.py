"""A copy of traffic as columns, and what a version answered to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Of a row whose label never came.
NEVER: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Rows in order of time. numeric, textual: names of inputs; numbers: (rows, numeric), NaN for null; texts: (rows, textual),
    None for null. at: microseconds since the epoch. request: which rows came together. micros: how long each took. label: as text,
    None where none came; label_value: where it is a number; labelled_at: when, `NEVER` where none came."""

    numeric: tuple[str, ...]
    textual: tuple[str, ...]
    numbers: NDArray[np.float64]
    texts: NDArray[np.object_]
    at: NDArray[np.int64]
    request: NDArray[np.int64]
    micros: NDArray[np.int64]
    label: NDArray[np.object_]
    label_value: NDArray[np.float64]
    labelled_at: NDArray[np.int64]

    @property
    def rows(self) -> int:
        return len(self.at)

    @property
    def start(self) -> datetime:
        return moment(int(self.at[0]))

    @property
    def end(self) -> datetime:
        return moment(int(self.at[-1]))

    def column(self, name: str) -> NDArray[Any]:
        """A view of one input."""
        if name in self.numeric:
            return self.numbers[:, self.numeric.index(name)]
        found: NDArray[Any] = self.texts[:, self.textual.index(name)]
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """table: a pyarrow table in the journal's form, one row per answered row. place: which row of the traffic each is. refused: why
    the others were, (code, field) by row."""

    table: Any
    place: NDArray[np.int64]
    refused: Mapping[int, tuple[str, str]]


#: Asks the version for every row of a copy, as the endpoint would.
Ask = Callable[[Traffic], Answers]


def moment(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1e6, UTC)


def micros_of(at: datetime) -> int:
    return round(at.timestamp() * 1e6)
