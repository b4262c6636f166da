"""A clock that does not go back: what has expired stays expired, also where the machine's clock is set back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.ports import Clock, Ledger

#: Clocks of machines that share a workspace differ by so much.
TOLERATED: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class SteadyClock:
    """The machine's clock, or the time of the last act where that is later.

    A clock that once ran ahead therefore ends waivers, keys, sessions and tickets early, until the time has come; it never
    revives one.
    """

    clock: Clock
    ledger: Ledger

    def __call__(self) -> datetime:
        last, now = self.ledger.last_event(), self.clock()
        return now if last is None else max(now, last.at)

    def behind(self) -> timedelta | None:
        """How far the machine's clock stands before the last act; None where it does not."""
        last = self.ledger.last_event()
        late = last.at - self.clock() if last else timedelta()
        return late if late > TOLERATED else None
