"""Where a version's model runs: on the event loop while that is quick, in threads or a process of its own when not.

A model that is slow, or hangs, holds only its own threads: the loop, and every other version, go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from math import inf
from time import perf_counter, thread_time
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from modelmark.serving import flavours
from modelmark.serving.cost import Cost
from modelmark.serving.flavours import Flavour, Model, Runs
from modelmark.serving.isolated import Isolated

#: A run that is expected to take longer than this many seconds leaves the loop.
LOOP_SECONDS: Final = 0.002
#: Runs of one version at a time off the loop, in one worker: what computes here takes turns, so that it can be said when
#: an answer will be there; what waits for another machine needs no core of ours.
THREADS: Final = 1
REMOTE_THREADS: Final = 16
#: A process whose run takes longer than this many seconds, and than four deadlines, is ended and replaced.
PATIENCE: Final = 5.0
#: Rows that a model is tried with before traffic, and how long that may take: one row alone says little of many.
PROBE_ROWS: Final = 64
PROBE_SECONDS: Final = 0.5
_FIXED: Final = {Runs.LOOP: True, Runs.THREAD: False, Runs.REMOTE: False, Runs.PROCESS: False}
#: A run this quick, by the clock, needs no closer look; after another, so many runs are measured.
_QUICK: Final = LOOP_SECONDS / 4
_RUNS: Final = 32

Scores = NDArray[np.float64]


class Execution:
    """One loaded model. Learns what its runs cost, by the number of rows, by two clocks.

    cpu: the processor's time in the thread that runs, which decides where a model runs: waiting for a busy interpreter, or
    for a turn on a busy machine, makes no model dear. wall: by the clock on the wall, as whoever waits has to; learnt from
    runs off the loop.
    """

    def __init__(self, flavour: Flavour) -> None:
        self.flavour, self._run = flavour, flavour.run
        self.stays_on_loop = flavour.runs is Runs.LOOP
        self.at_a_time = REMOTE_THREADS if flavour.runs is Runs.REMOTE else THREADS
        self._fixed = _FIXED.get(flavour.runs)  # None: by cost
        self._measuring, self._quick = (_RUNS, _QUICK) if self._fixed is None else (0, inf)
        self.cpu, self.wall = Cost(), Cost()

    @classmethod
    def of(cls, model: Model, *, numeric: Sequence[str], textual: Sequence[str], deadline: float) -> Self:
        """Build the model where it runs. Raises what its flavour does. deadline: the contract's, in seconds."""
        kind = flavours.kind(model.flavour)
        if kind.runs is Runs.PROCESS:
            patience, program = max(PATIENCE, 4 * deadline), getattr(kind, "program", "")
            unpacked = getattr(kind, "unpacked", False)
            return cls(
                Isolated(model, numeric=numeric, textual=textual, patience=patience, program=program, unpacked=unpacked)
            )
        return cls(kind(model.files, model.signature, numeric=numeric, textual=textual))

    def run(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        """`Flavour.run`, from any thread. Measured while it is not known to be quick."""
        if self._measuring:
            return self._measured(numbers, texts)
        started = perf_counter()
        scores = self._run(numbers, texts)
        if perf_counter() - started > self._quick:
            self._measuring = _RUNS  # it may have been slow, or the machine busy: find out
        return scores

    def _measured(self, numbers: Scores, texts: Sequence[str]) -> Scores:
        started = thread_time()
        scores = self._run(numbers, texts)
        took = thread_time() - started
        self.cpu.note(len(numbers), took)
        self._measuring = self._measuring - 1 if took < _QUICK else _RUNS
        return scores

    def fits_loop(self, rows: int) -> bool:
        """Whether a run of so many rows may hold the loop."""
        if self._fixed is not None:
            return self._fixed
        seen = self.cpu.seconds[rows.bit_length()]
        if not seen:
            self._measuring = _RUNS
            seen = self.cpu.of(rows)
        return seen <= LOOP_SECONDS

    def probe(self, numbers: Scores, texts: Sequence[str]) -> None:
        """Learn from one row (1, columns), and from 2, 4, 8 … of it while that is quick, before any traffic."""
        if self._fixed is not None:
            return
        self.flavour.run(numbers, texts)  # the first run of a session is not what later ones cost
        rows, spent = 1, 0.0
        while rows <= PROBE_ROWS and spent + 2 * self.wall.of(rows) <= PROBE_SECONDS:
            try:
                for _ in range(2):
                    started = perf_counter()
                    self.run(np.repeat(numbers, rows, axis=0), list(texts) * rows)
                    self.wall.note(rows, perf_counter() - started)
                    spent += perf_counter() - started
            except Exception:  # noqa: BLE001  # one that cannot run many rows at a time answers them one by one
                return
            rows *= 2

    @cached_property
    def threads(self) -> ThreadPoolExecutor:
        """Started when first needed; they end when the version is let go."""
        return ThreadPoolExecutor(self.at_a_time, thread_name_prefix="model")
