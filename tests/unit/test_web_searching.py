"""Lists of versions and of events: what is looked for in them, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from builders.domain import NOON, version
from modelmark.domain.errors import Rejected
from modelmark.domain.release import State
from modelmark.web import searching


@dataclass
class Found:
    version: Any
    state: State


def status(model, number, state, hours):
    made = version(f"{model}{number}", number=number, model=model, created_at=NOON + timedelta(hours=hours))
    return Found(made, state)


A, B, C = (
    status("loans", 1, State.RETIRED, 3), status("loans", 2, State.CHAMPION, 1), status("churn", 1, State.CHAMPION, 2),
)  # fmt: skip
NAMES = {B.version.id: "Ann Lee, Bob Ray"}


@pytest.mark.parametrize(
    ("asked", "these"),
    [
        ({}, [A, C, B]),
        ({"sort": "oldest"}, [B, C, A]),
        ({"sort": "model"}, [C, B, A]),
        ({"sort": "state"}, [C, B, A]),
        ({"model": "loans"}, [A, B]),
        ({"state": "champion"}, [C, B]),
        ({"q": "LOANS v2"}, [B]),
        ({"q": "bob"}, [B]),
        ({"q": A.version.id.hex[:9]}, [A]),
        ({"q": "nobody"}, []),
    ],
)
def test_versions_are_found_and_ordered(asked, these):
    assert searching.versions([A, B, C], asked, NAMES) == these


def test_an_order_that_there_is_not_is_refused():
    with pytest.raises(Rejected) as caught:
        searching.versions([A], {"sort": "luck"}, {})
    assert (caught.value.field, caught.value.limit) == ("sort", "newest, oldest, model, state")


@dataclass
class Event:
    actor: str
    hash: str = "ab12"


@dataclass
class Row:
    event: Event
    about: str
    sentence: str


def test_events_are_found_by_who_and_by_words():
    one, two = Row(Event("ann"), "loans v1", "released"), Row(Event("bob"), "loans v2", "Rolled back")
    assert searching.events([one, two], {"who": "bob"}) == [two]
    assert searching.events([one, two], {"q": "loans rolled"}) == [two]
    assert searching.events([one, two], {"q": "AB12"}) == [one, two]
    assert searching.events([one, two], {"who": "bob", "q": "released"}) == []
