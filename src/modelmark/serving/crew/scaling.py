"""How many workers there should be, by what they say of themselves. No clock and no processes: `Supervisor` has those."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.serving.crew.load import Load

#: A worker whose processor is this busy has callers waiting, whether it sees them or not.
FULL: Final = 0.9
#: Requests that wait for a run, on average.
QUEUE: Final = 1.0
#: Seconds of that until there is one worker more, and seconds that one more has to show what it changes.
SUSTAINED: Final = 0.75
SETTLES: Final = 1.5
#: One worker less would be this busy at the most.
SPARE: Final = 0.6
#: Seconds of that until there is one worker less.
CALM: Final = 30.0


class Scaling:
    """Asked again and again; answers how many there should be now."""

    def __init__(self, bounds: WorkerBounds, *, calm: float = CALM) -> None:
        self.bounds, self._calm = bounds, calm
        self._pressed_since: float | None = None
        self._calm_since: float | None = None
        self._changed_at = float("-inf")

    def wanted(self, loads: Sequence[Load], workers: int, now: float) -> int:
        """loads: of the workers that answer. workers: those, and those that start."""
        if len(loads) < workers or not loads:
            return self._change(workers, now)  # nobody knows yet what the one that starts changes
        pressed = any(load.waiting >= QUEUE for load in loads) or all(load.busy >= FULL for load in loads)
        spare = sum(load.busy for load in loads) <= SPARE * (workers - 1) and not any(load.waiting for load in loads)
        self._pressed_since = _since(self._pressed_since, now, holds=pressed)
        self._calm_since = _since(self._calm_since, now, holds=spare)
        if now - self._changed_at < SETTLES:
            return workers
        if self._pressed_since is not None and now - self._pressed_since >= SUSTAINED and workers < self.bounds.most:
            return self._change(workers + 1, now)
        if self._calm_since is not None and now - self._calm_since >= self._calm and workers > self.bounds.least:
            return self._change(workers - 1, now)
        return workers

    def _change(self, workers: int, now: float) -> int:
        self._pressed_since = self._calm_since = None
        self._changed_at = now
        return workers


def _since(before: float | None, now: float, *, holds: bool) -> float | None:
    """Since when something holds; None where it does not."""
    return (now if before is None else before) if holds else None
