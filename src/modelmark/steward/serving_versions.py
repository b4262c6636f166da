"""The versions that serve, as they were when somebody last asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelmark.steward.profiler import MonitoredVersion


class ServingVersions:
    """known: empty until the first `refresh`. A refresh that fails leaves what was known."""

    def __init__(self, ask: Callable[[], Sequence[MonitoredVersion]]) -> None:
        self._ask = ask
        self.known: tuple[MonitoredVersion, ...] = ()

    def refresh(self) -> tuple[MonitoredVersion, ...]:
        self.known = tuple(self._ask())
        return self.known
