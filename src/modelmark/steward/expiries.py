"""What people agreed until a day: when the day has come, that is a finding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.digest import Digest
from modelmark.domain.finding import Finding, Outcome, Window

NAME = "steward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """subject: what it is about. sentence: what to say once `ends_at` has passed."""

    subject: str
    ends_at: datetime
    sentence: str


def evaluate(model: str, version: Digest, terms: Iterable[Expiry], since: datetime, now: datetime) -> list[Finding]:
    """One finding a term: an alert from its end on."""
    return [
        Finding(
            monitor=NAME,
            model=model,
            version=version,
            subject=term.subject,
            window=Window(start=since, end=now),
            outcome=Outcome.ALERT if now >= term.ends_at else Outcome.OK,
            sentence=term.sentence if now >= term.ends_at else f"Holds until {term.ends_at:%Y-%m-%d %H:%M} UTC.",
        )
        for term in terms
    ]
