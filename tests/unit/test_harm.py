"""Alerts stand in the order of their harm, whichever began first."""

from __future__ import annotations

import random
from datetime import timedelta

from builders.domain import NOON, digest, finding
from modelmark.domain.alerts.harm import Harm, by_harm, harm_of
from modelmark.testing.monitoring_store import MemoryMonitoringStore

ORDER = [
    ("performance", "accuracy", "champion"),
    ("performance", "accuracy", "canary"),
    ("steward", "disk", "champion"),
    ("quality", "requests", "champion"),
    ("service", "traffic", "champion"),
    ("quality", "requests", "canary"),
    ("elsewhere", "anything", "champion"),
    ("quality", "job", "champion"),
    ("drift", "age", "champion"),
    ("drift", "score", "champion"),
    ("steward", "age", "champion"),
    ("steward", "waiver of load", "champion"),
]


def test_alerts_come_by_harm_and_never_by_age() -> None:
    for seed in range(5):
        store = MemoryMonitoringStore()
        for minute, (monitor, subject, arm) in enumerate(random.Random(seed).sample(ORDER, len(ORDER))):
            told = finding(monitor=monitor, subject=subject, arm=arm, version=digest(arm))
            store.open_alert(told, NOON + timedelta(minutes=minute))
        assert [(a.monitor, a.subject, a.details.arm) for a in by_harm(store.alerts())] == ORDER


def test_what_ended_by_agreement_is_the_least() -> None:
    store = MemoryMonitoringStore()
    ended, _ = store.open_alert(finding(monitor="steward", subject="waiver of load"), NOON)
    full, _ = store.open_alert(finding(monitor="steward", subject="disk"), NOON)
    assert (harm_of(ended), harm_of(full)) == (Harm.TERM, Harm.OUTAGE)
