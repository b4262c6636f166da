"""Where a version's model runs: on the event loop while that is quick, in threads or a process of its own when not.

A model that is slow, or hangs, holds only its own threads: the loop, and every other version, go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from time import perf_counter
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from modelmark.serving import flavours
from modelmark.serving.flavours import Flavour, Model, Runs
from modelmark.serving.isolated import Isolated

#: A run that is expected to take longer than this many seconds leaves the loop.
LOOP_SECONDS: Final = 0.002
#: Runs of one version at a time off the loop, in one worker.
THREADS: Final = 2
#: A process whose run takes longer than this many seconds, and than four deadlines, is ended and replaced.
PATIENCE: Final = 5.0
_FIXED: Final = {Runs.LOOP: True, Runs.THREAD: False, Runs.PROCESS: False}
_WEIGHT: Final = 0.2
#: One run counts for at most so many times what was expected: a pause of the machine says nothing about the model.
_OUTLIER: Final = 4.0
_SIZES: Final = 32

Scores = NDArray[np.float64]


class Execution:
    """One loaded model. Learns what a run costs, by the number of rows, from every run."""

    def __init__(self, flavour: Flavour) -> None:
        self.flavour = flavour
        self._fixed = _FIXED.get(flavour.runs)  # None: by cost
        self._seconds = [0.0] * _SIZES  # smoothed seconds of a run, by the bit length of its rows; 0: none was seen

    @classmethod
    def of(cls, model: Model, *, numeric: Sequence[str], textual: Sequence[str], deadline: float) -> Self:
        """Build the model where it runs. Raises what its flavour does. deadline: the contract's, in seconds."""
        kind = flavours.kind(model.flavour)
        if kind.runs is Runs.PROCESS:
            patience = max(PATIENCE, 4 * deadline)
            return cls(Isolated(model, numeric=numeric, textual=textual, patience=patience))
        return cls(kind(model.files, model.signature, numeric=numeric, textual=textual))

    def run(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        """`Flavour.run`, timed. From any thread."""
        started = perf_counter()
        scores = self.flavour.run(numbers, texts)
        self._learn(len(numbers), perf_counter() - started)
        return scores

    def fits_loop(self, rows: int) -> bool:
        """Whether a run of so many rows may hold the loop."""
        if self._fixed is not None:
            return self._fixed
        return (self._seconds[rows.bit_length()] or self.expected(rows)) <= LOOP_SECONDS

    def expected(self, rows: int) -> float:
        """Seconds that a run of so many rows will take; 0.0 when nothing is known yet.

        What was seen at this size, else at the next smaller one, as if every row cost the same: never too little.
        """
        size = rows.bit_length()
        seen = self._seconds[size]
        if seen:
            return seen
        for smaller in range(size - 1, 0, -1):
            if self._seconds[smaller]:
                return self._seconds[smaller] * 2.0 ** (size - smaller)
        return 0.0

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        """Started when first needed; they end when the version is let go."""
        return ThreadPoolExecutor(THREADS, thread_name_prefix="model")

    def _learn(self, rows: int, took: float) -> None:
        size = rows.bit_length()
        seen = self._seconds[size]
        self._seconds[size] = seen + _WEIGHT * (min(took, _OUTLIER * seen) - seen) if seen else took
