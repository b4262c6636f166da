"""Which span of time a page shows: a named one that ends now, or one from a time to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from modelmark.domain.errors import Rejected
from modelmark.domain.until import moment

#: Spans that end now: name -> (length, bucket seconds).
SPANS: Final[dict[str, tuple[timedelta, int]]] = {
    "15m": (timedelta(minutes=15), 10),
    "1h": (timedelta(hours=1), 60),
    "6h": (timedelta(hours=6), 300),
    "24h": (timedelta(hours=24), 900),
    "7d": (timedelta(days=7), 7200),
    "30d": (timedelta(days=30), 28_800),
    "90d": (timedelta(days=90), 86_400),
}
USUAL: Final = "1h"
_BUCKETS: Final = (1, *(seconds for _, seconds in SPANS.values()), 7 * 86_400)
_MOST: Final = 120  # buckets on a page
_LONGEST: Final = timedelta(days=731)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """[start, end), in buckets of `seconds`. name: of a named span, empty for one between two times."""

    start: datetime
    end: datetime
    seconds: int
    name: str = ""

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    @property
    def query(self) -> str:
        """As an address says it."""
        if self.name:
            return urlencode({"span": self.name})
        return urlencode({"from": self.start.isoformat(), "to": self.end.isoformat()})

    @property
    def between(self) -> dict[str, str]:
        """Both ends, as rows are asked for."""
        return {"start": self.start.isoformat(), "to": self.end.isoformat()}


def named(name: str, now: datetime) -> Period:
    length, seconds = SPANS[name]
    return Period(start=floor(now - length, seconds), end=now, seconds=seconds, name=name)


def period_of(params: Mapping[str, str], now: datetime, *, whole: bool = True) -> Period:
    """`span`, or `from` and `to` (now, where that is left out, and not the other way round). whole: from the beginning of
    the bucket that `from` lies in.

    Raises Rejected (NO_SPAN, BAD_TIME, BAD_SPAN)."""
    name = params.get("span", USUAL)
    if name not in SPANS:
        raise Rejected("there is no such span", code="NO_SPAN", field="span", limit=", ".join(SPANS))
    if not params.get("from", "").strip():
        if params.get("to", "").strip():
            moment(params["to"], now=now, field="to")
            raise Rejected("to alone is no span of time", code="BAD_SPAN", field="from", limit="a time before to")
        return named(name, now)
    start = moment(params["from"], now=now, field="from")
    end = min(now, moment(params.get("to", ""), now=now, field="to"))
    if not timedelta(seconds=1) <= end - start <= _LONGEST:
        raise Rejected(
            "this is no span of time that can be shown", code="BAD_SPAN", field="from",
            limit=f"a second to {_LONGEST.days} days before to, which is not after now",
        )  # fmt: skip
    seconds = next((s for s in _BUCKETS if (end - start).total_seconds() <= _MOST * s), _BUCKETS[-1])
    return Period(start=floor(start, seconds) if whole else start, end=end, seconds=seconds)


def floor(at: datetime, seconds: int) -> datetime:
    """The beginning of the bucket that `at` lies in, so that no bucket is cut at its front."""
    return at - timedelta(seconds=at.timestamp() % seconds)
