"""Which span of time an address asks for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from builders.domain import NOON
from modelmark.domain.errors import Rejected
from modelmark.web.periods import SPANS, period_of


@pytest.mark.parametrize("name", SPANS)
def test_a_named_span_ends_now_and_has_a_hundred_buckets_or_so(name):
    found = period_of({"span": name}, NOON)
    assert (found.name, found.end, found.query) == (name, NOON, f"span={name}")
    assert 60 <= found.length.total_seconds() / found.seconds <= 100


@pytest.mark.parametrize("hours", [0.01, 1, 30, 24 * 45, 24 * 700])
def test_any_two_times_are_a_span_with_at_most_some_hundred_buckets(hours):
    start = NOON - timedelta(hours=hours)
    found = period_of({"from": start.isoformat(), "to": "now"}, NOON)
    assert found.start <= start
    assert found.end == NOON
    assert not found.name
    assert 1 <= found.length.total_seconds() / found.seconds <= 125
    again = dict(part.split("=") for part in found.query.replace("%3A", ":").replace("%2B", "+").split("&"))
    assert period_of(again, NOON) == found, "an address that is followed leads to the same"


def test_a_span_begins_with_a_whole_bucket_and_ends_no_later_than_now():
    found = period_of({"from": "2026-02-27T08:00:30", "to": "2027-01-01"}, NOON)
    assert found.end == NOON
    assert found.start.timestamp() % found.seconds == 0


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"to": "2026-02-27T08:00:30"}, "BAD_SPAN", "from"),
        ({"from": " ", "to": "soon"}, "BAD_TIME", "to"),
        ({"span": "2y"}, "NO_SPAN", "span"),
        ({"span": "2y", "from": "2026-03-01T10:00", "to": "2026-03-01T11:00"}, "NO_SPAN", "span"),
        ({"from": "yesterday"}, "BAD_TIME", "from"),
        ({"from": "2026-02-28", "to": "then"}, "BAD_TIME", "to"),
        ({"from": "2026-02-28", "to": "2026-02-27"}, "BAD_SPAN", "from"),
        ({"from": "2020-01-01"}, "BAD_SPAN", "from"),
    ],
)
def test_what_is_no_span_is_refused_by_field_and_limit(asked, code, field):
    with pytest.raises(Rejected) as caught:
        period_of(asked, NOON)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert caught.value.limit
