"""What was agreed until a day becomes a finding on that day, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest

from builders.domain import NOON, version
from modelmark.domain.finding import Outcome
from modelmark.steward.expiries import Expiry, evaluate

TERM = Expiry(subject="age", ends_at=NOON + timedelta(days=30), sentence="v1 is too old.")


@pytest.mark.parametrize(
    ("days", "outcome", "sentence"),
    [(29, Outcome.OK, "Holds until 2026-03-31 12:00 UTC."), (30, Outcome.ALERT, "v1 is too old.")],
)
def test_a_term_alerts_from_its_end_on(days: int, outcome: Outcome, sentence: str) -> None:
    (found,) = evaluate("loans", version().id, [TERM], NOON, NOON + timedelta(days=days))
    assert (found.outcome, found.sentence, found.subject) == (outcome, sentence, "age")
