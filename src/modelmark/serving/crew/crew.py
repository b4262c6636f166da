"""The workers of one port as their number follows the load: one more starts, one too many leaves, no request is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.serving.child import Child
from modelmark.serving.crew.load import Load
from modelmark.serving.crew.scaling import Scaling
from modelmark.serving.telling import tell

#: A worker that leaves and has not ended by then is killed, in seconds.
GRACE: Final = 30.0


class Crew:
    """workers: the list that whoever keeps them alive watches; changed in place, by one thread."""

    def __init__(self, workers: list[Child], scaling: Scaling, another: Callable[[], Child]) -> None:
        self._workers, self._scaling, self._another = workers, scaling, another
        self._known = set(map(id, workers))  # those among whom connections are spread
        self._until: dict[Child, float] = {}

    @property
    def bounds(self) -> WorkerBounds:
        return self._scaling.bounds

    @property
    def follows(self) -> bool:
        return self.bounds.follows

    @property
    def leaving(self) -> tuple[Child, ...]:
        """They answer what they have, and end."""
        return tuple(self._until)

    def look(self, now: float) -> None:
        """One look at what the workers say."""
        ready = [worker for worker in self._workers if worker.lives and worker.ready.is_set()]
        loads = [load for worker in ready if (load := Load.heard(worker.said)) is not None]
        wanted = self._scaling.wanted(loads, len(self._workers), now)
        if wanted > len(self._workers):
            tell(f"requests wait: a worker more, {wanted} of at most {self.bounds.most}")
            self._workers.append(self._another())
        elif wanted < len(self._workers):
            tell(f"it is calm: a worker less, {wanted} of at least {self.bounds.least}")
            self._leave(self._workers.pop(), now)
        self._spread([worker for worker in ready if worker in self._workers])
        self._see_off(now)

    def _spread(self, ready: list[Child]) -> None:
        """Connections stay with the worker that took them: of each, a part is asked to come anew once another listens."""
        for new in [worker for worker in ready if id(worker) not in self._known]:
            self._known.add(id(new))
            for worker in ready:
                if worker is not new:
                    worker.tell(f"spread {1 / len(ready):.3f}")

    def _leave(self, worker: Child, now: float) -> None:
        self._known.discard(id(worker))
        worker.end()
        self._until[worker] = now + GRACE

    def _see_off(self, now: float) -> None:
        for worker, until in list(self._until.items()):
            if not worker.lives or now >= until:
                worker.join(time.monotonic())
                del self._until[worker]
