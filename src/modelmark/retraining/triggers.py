"""Is it time to train again? What the contract says, and what has happened since the last time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from modelmark.domain.contract import Retraining
from modelmark.retraining.snapshot import LEAST


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """trained_at: the last time, or when the champion was made. labels: rows labelled since. loss: the sentence of an open
    alert that the champion performs worse; empty where there is none."""

    trained_at: datetime
    labels: int
    loss: str = ""


def reason(agreed: Retraining, since: Since, now: datetime) -> str | None:
    """Why to train now, in words; None where nothing asks for it, or nobody named code that trains.

    >>> from datetime import UTC
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> agreed = Retraining(entry="fit.py:train", new_labels=500)
    >>> reason(agreed, Since(trained_at=at, labels=600), at)
    '600 rows were labelled since (retraining.new_labels: 500)'
    """
    if agreed.entry is None:
        return None
    if agreed.on_loss and since.loss and since.labels >= LEAST:  # the same rows teach the same
        return f"live performance alerts: {since.loss}"
    if agreed.new_labels is not None and since.labels >= agreed.new_labels:
        return f"{since.labels:,} rows were labelled since (retraining.new_labels: {agreed.new_labels:,})"
    if agreed.every_days is not None and now - since.trained_at >= timedelta(days=agreed.every_days):
        return (
            f"the last time is {(now - since.trained_at).days} days ago (retraining.every_days: {agreed.every_days:g})"
        )
    return None
