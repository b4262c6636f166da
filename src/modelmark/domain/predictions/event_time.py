"""When it happened, where that is not when it was said: the moment that callers may give with a prediction or a label."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from modelmark.domain.errors import Rejected

#: How long ago what is predicted live may have happened, in nanoseconds: as long as profiles of it are kept.
OLDEST: Final = 30 * 86_400 * 10**9
#: How far another machine's clock may be ahead, in nanoseconds.
AHEAD: Final = 300 * 10**9
_LIMIT: Final = "a moment with its zone, as 2026-11-28T10:00:00Z, from {since} to five minutes from now"
_SHORTEST, _LONGEST = len("2026-11-28T10:00Z"), 40
_DAY: Final = 86_400 * 10**9
_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def event_time(
    text: object, now_ns: int, *, oldest: int | None = None, field: str = "at", row: int | None = None
) -> int:
    """Nanoseconds since the epoch, UTC, of RFC 3339 text, by whole microseconds. oldest: nanoseconds that it may be ago; None:
    since 1970. Raises Rejected (BAD_TIME).

    >>> event_time("2026-11-28T11:00:00.5+01:00", 1_800_000_000 * 10**9)
    1795860000500000000
    """
    moment, first = _read(text), 1 if oldest is None else now_ns - oldest
    at = None if moment is None or moment.tzinfo is None else (moment - _EPOCH) // _MICROSECOND * 1000
    if at is not None and first <= at <= now_ns + AHEAD:
        return at
    message = (
        "this is no moment" if at is None else "that moment is too long ago" if at < first else "that moment is to come"
    )
    limit = _LIMIT.format(since="1970" if oldest is None else f"{oldest // _DAY} days ago")
    hint = (
        "older history goes through modelmark backfill"
        if oldest is not None and at is not None and at < first
        else None
    )
    raise Rejected(message, code="BAD_TIME", field=field, row=row, limit=limit, hint=hint)


def _read(text: object) -> datetime | None:
    if not isinstance(text, str) or not _SHORTEST <= len(text) <= _LONGEST:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
