"""The versions that serve, and those that have left and are still judged, as they were when somebody last asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from modelmark.steward.job import JobFault
from modelmark.steward.profiler import MonitoredVersion

#: Who has left is asked again so often, and whenever other versions serve.
_EVERY: Final = timedelta(minutes=1)


class ServingVersions:
    """known: empty until the first `refresh`. A refresh that fails leaves what was known.

    ask_left: the versions that serve no more and are still judged, or what is wrong with one; it reads the journal's tables.
    """

    def __init__(
        self,
        ask: Callable[[], Sequence[MonitoredVersion]],
        ask_left: Callable[[datetime], Sequence[MonitoredVersion | JobFault]] = lambda now: (),
    ) -> None:
        self._ask, self._ask_left = ask, ask_left
        self.known: tuple[MonitoredVersion, ...] = ()
        self._left: tuple[MonitoredVersion, ...] = ()
        self._faults: tuple[JobFault, ...] = ()
        self._told: frozenset[JobFault] = frozenset()
        self._asked: tuple[datetime, tuple[str, ...]] | None = None

    def refresh(self) -> tuple[MonitoredVersion, ...]:
        self.known = tuple(self._ask())
        return self.known

    def left(self, now: datetime) -> tuple[MonitoredVersion, ...]:
        """May raise what reading the tables raises."""
        serving = tuple(watched.version.hex for watched in self.known)
        if self._asked is None or self._asked[1] != serving or now - self._asked[0] >= _EVERY:
            found = self._ask_left(now)
            self._left = tuple(one for one in found if not isinstance(one, JobFault))
            self._faults = tuple(one for one in found if isinstance(one, JobFault))
            self._asked = now, serving
        return self._left

    def faults(self) -> list[JobFault]:
        """What is wrong with versions that have left, each until it changes once."""
        new = [fault for fault in self._faults if fault not in self._told]
        self._told = frozenset(self._faults)
        return new
