"""What waits to be sent, what never arrived, and to whom each message goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

#: An audience that begins so is one webhook, not a role.
HOOK: Final = "hook:"
#: A message that failed so often is a dead letter: nobody tries again until a person says so. With the waits below that is
#: after some thirteen hours.
MOST_TRIES: Final = 20
#: How the keys of messages begin that go some time after they arrived.
PRUNED: Final = ("opened-", "back-", "closed-", "escalated-", "hook-")
RETRY_FIRST: Final = timedelta(seconds=15)
RETRY_MOST: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undelivered:
    """A message that has not arrived. audience: a role, everybody (empty) or `hook:ID`. error: why the last try failed."""

    key: str
    title: str
    audience: str
    tries: int
    due_at: datetime
    error: str

    @property
    def is_dead(self) -> bool:
        return self.tries >= MOST_TRIES

    @property
    def hook(self) -> str:
        """The webhook's id; empty for what goes through Apprise."""
        return self.audience.removeprefix(HOOK) if self.audience.startswith(HOOK) else ""


def wait_after(tries: int, jitter: float) -> timedelta:
    """How long a message waits that failed once more after `tries` failures. jitter: a factor near 1, so that many do not
    come back at once.

    >>> [wait_after(tries, 1.0).total_seconds() for tries in (0, 1, 2, 9)]
    [15.0, 30.0, 60.0, 3600.0]
    """
    return min(RETRY_FIRST * int(2 ** min(tries, 16)), RETRY_MOST) * jitter
