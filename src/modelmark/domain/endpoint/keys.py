"""Keys of programs that ask the endpoint: what each may do, for how long, how often. No account stands behind one."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from modelmark.domain.errors import Rejected
from modelmark.domain.later import later

MOST_DAYS: Final = 366
_PER: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Scope(StrEnum):
    """What a key may do at the endpoint. Any key may read what the models are that it may ask."""

    PREDICT = "predict"
    LABEL = "label"
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointKey:
    """digest: of the secret, which is shown once. model: the only one it is for; None: all. rate: requests a second, of all
    workers of a machine together; None: as many as there is room for."""

    id: str
    name: str
    digest: str
    scopes: tuple[Scope, ...]
    issued_at: datetime
    expires_at: datetime
    issued_by: str
    model: str | None = later(default=None)
    rate: float | None = later(default=None)


def require_name(name: str) -> None:
    """Raises Rejected (BAD_NAME)."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise Rejected(
            "a key's name is of another form",
            code="BAD_NAME",
            field="name",
            limit="a-z 0-9 . _ -, at most 64 characters",
        )


def read_scopes(text: str) -> tuple[Scope, ...]:
    """Of `predict,label`. Raises Rejected (BAD_SCOPES)."""
    named = [part.strip() for part in text.split(",") if part.strip()]
    return require_scopes(named)


def require_scopes(named: Collection[str]) -> tuple[Scope, ...]:
    """Each once, in order. Raises Rejected (BAD_SCOPES) for none, or one that there is not."""
    if not named or any(name not in set(Scope) for name in named):
        raise Rejected("a key needs scopes that exist", code="BAD_SCOPES", field="scope", limit=", ".join(Scope))
    return tuple(sorted({Scope(name) for name in named}))


def read_life(text: str) -> timedelta:
    """Of `30d`. Raises Rejected (BAD_DAYS)."""
    found = re.fullmatch(r"([0-9]{1,3})d", text.strip())
    if found is None or not 1 <= int(found[1]) <= MOST_DAYS:
        raise Rejected(
            "a key's life is outside its range", code="BAD_DAYS", field="expires", limit=f"1d to {MOST_DAYS}d"
        )
    return timedelta(days=int(found[1]))


def read_rate(text: str) -> float:
    """Requests a second, of `100/s`, `600/m` or `5000/h`. Raises Rejected (BAD_RATE).

    >>> read_rate("100/s"), read_rate("600/m")
    (100.0, 10.0)
    """
    found = re.fullmatch(r"([0-9]{1,9})/([smh])", text.strip())
    if found is None or int(found[1]) == 0:
        raise Rejected(
            "a rate is of another form",
            code="BAD_RATE",
            field="rate",
            limit="1 or more a second, minute or hour: 100/s",
        )
    return int(found[1]) / _PER[found[2]]
