"""One run of a model off the loop, and what other workers have answered already."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Checked
from modelmark.serving.answers import PredictRequest
from modelmark.serving.caching.shared_cache import SharedCache
from modelmark.serving.execution import Execution

Scores = NDArray[np.float64]


class Run:
    """One run off the loop, in slices: between two of them it ends when nobody waits for it any more.

    Called in a thread, which touches nothing but the model; for the loop to read: took: rows and seconds of each slice; heard:
    requests whose answers the shared cache had; computed: the others; asking: seconds that asking it took.
    """

    def __init__(
        self,
        execution: Execution,
        requests: list[PredictRequest],
        slice_rows: int,
        shared: SharedCache | None = None,
    ) -> None:
        self._execution, self._requests, self._slice_rows, self._shared = execution, requests, slice_rows, shared
        self.took: list[tuple[int, float]] = []
        self.heard: list[PredictRequest] = []
        self.computed = requests
        self.asking = 0.0

    def __call__(self) -> Scores | None:
        """The scores; None when it ended early. Raises what the model does."""
        if self._shared is None:
            return self._run(self._requests)
        began = perf_counter()
        known = self._ask(self._shared)
        self.asking = perf_counter() - began
        self.heard = [request for request in self._requests if id(request) in known]
        self.computed = [request for request in self._requests if id(request) not in known]
        scores = self._run(self.computed) if self.computed else None
        if self.computed and scores is None:
            return None
        parts, end = [], 0
        for request in self._requests:
            if id(request) in known:
                parts.append(known[id(request)])
                continue
            start, end = end, end + request.rows.count
            assert scores is not None  # somebody was computed
            parts.append(scores[start:end])
        if scores is not None:
            self._tell(
                self._shared, [part for r, part in zip(self._requests, parts, strict=True) if id(r) not in known]
            )
        return np.concatenate(parts)

    def _ask(self, shared: SharedCache) -> dict[int, Scores]:
        """By request, what is there and has the form that an answer must have."""
        found = shared.get([request.key for request in self._requests if request.key])
        known: dict[int, Scores] = {}
        for request in self._requests:
            packed, rows = found.get(request.key, b""), request.rows.count
            if packed and len(packed) == 8 * rows * request.version.decide.width:
                known[id(request)] = np.frombuffer(packed).reshape(rows, -1).copy()
        return known

    def _tell(self, shared: SharedCache, parts: list[Scores]) -> None:
        answers = {
            request.key: part.astype("<f8").tobytes()
            for request, part in zip(self.computed, parts, strict=True)
            if request.key and np.isfinite(part).all()
        }
        shared.put(answers)

    def _run(self, requests: Sequence[PredictRequest]) -> Scores | None:
        checked = [cast(Checked, request.checked) for request in requests]
        numbers = checked[0].numbers if len(checked) == 1 else np.concatenate([part.numbers for part in checked])
        texts = checked[0].texts if len(checked) == 1 else [text for part in checked for text in part.texts]
        found: list[Scores] = []
        rows, size = len(numbers), self._slice_rows
        width = len(texts) // rows
        for at in range(0, rows, size):
            if all(request.done or request.responder.gone for request in requests):
                return None
            some, words = numbers[at : at + size], texts[at * width : (at + size) * width]
            started = perf_counter()
            try:
                found.append(self._execution.run(some, words))
            finally:
                self.took.append((len(some), perf_counter() - started))
        return found[0] if len(found) == 1 else np.concatenate(found)
