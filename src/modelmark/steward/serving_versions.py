"""The versions that serve, as they were when somebody last asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelmark.steward.profiler import Watched


class ServingVersions:
    """known: empty until the first `refresh`. A refresh that fails leaves what was known."""

    def __init__(self, ask: Callable[[], Sequence[Watched]]) -> None:
        self._ask = ask
        self.known: tuple[Watched, ...] = ()

    def refresh(self) -> tuple[Watched, ...]:
        self.known = tuple(self._ask())
        return self.known
