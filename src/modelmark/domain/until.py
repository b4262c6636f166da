"""The last day of something, as people write it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from modelmark.domain.errors import Rejected


def until(text: str, *, now: datetime, field: str) -> datetime:
    """The moment after which it has ended: `30d` from now, or the end of a day, UTC. Raises Rejected for anything else.

    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> str(until("30d", now=noon, field="expires")), str(until("2027-01-31", now=noon, field="expires"))
    ('2026-03-31 12:00:00+00:00', '2027-02-01 00:00:00+00:00')
    """
    days, unit = text[:-1], text[-1:]
    try:
        if unit == "d" and days.isascii() and days.isdigit():
            return now + timedelta(days=int(days))
        return datetime.combine(date.fromisoformat(text), time(tzinfo=UTC)) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Rejected(
            f"{text[:40]!r} is not a day that can be kept", code="BAD_DATE", field=field, limit="2027-01-31 or 30d"
        ) from None


def later_on(text: str, *, now: datetime, field: str) -> datetime:
    """As `until`, and `4h` from now."""
    hours = text[:-1]
    if text[-1:] == "h" and hours.isascii() and hours.isdigit() and len(hours) < 6:
        return now + timedelta(hours=int(hours))
    try:
        return until(text, now=now, field=field)
    except Rejected as error:
        raise Rejected(error.message, code="BAD_DATE", field=field, limit="4h, 2d or 2027-01-31") from None


def moment(text: str, *, now: datetime, field: str) -> datetime:
    """A time as people write it, UTC unless it says so; empty and `now` are now. Raises Rejected for what is no time."""
    if text.strip().lower() in ("", "now"):
        return now
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Rejected(
            "this is no time",
            code="BAD_TIME",
            field=field,
            limit="now, or such as 2026-03-01T14:05 or 2026-03-01T14:05+02:00",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
