"""From findings to alerts to messages: one story is told once when it begins and once when it ends."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.alerts.harm import by_harm
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Alert, Finding
from modelmark.domain.ports import MonitoringStore, Notifier
from modelmark.monitors.performance import NAME as PERFORMANCE
from modelmark.steward.stories import MANY, Stories

RETRY_FIRST: Final = timedelta(seconds=15)
RETRY_MOST: Final = timedelta(hours=1)
PER_STEP: Final = 20
MOST_KEY: Final = 255
#: Why an alert is over whose version left.
LEFT: Final = "the version no longer serves"
_SAID: Final = {"opened": "needs a look", "back": "is back", "closed": "is over"}


def tell(
    book: MonitoringStore,
    findings: Sequence[Finding],
    now: datetime,
    *,
    every: timedelta,
    queue: bool,
    idle: Collection[Digest] = (),
) -> list[Alert]:
    """Open and close alerts as the findings of one look say; queue one message for all that opened, one for all that are
    back, and one for all that closed. idle: versions without any traffic in the window.

    An alert closes when all it is about was well in two looks running, so a value at the edge does not ring twice a
    minute. Returns the alerts that are new.
    """
    opened: list[Alert] = []
    with book.transaction():
        for model in sorted({finding.model for finding in findings}):
            mine = [finding for finding in findings if finding.model == model]
            changes = Stories(book, model, mine, now, every=every, idle=idle).follow()
            opened += changes.opened
            if queue:
                _queue(book, changes.opened, "opened", now)
                _queue(book, changes.again, "back", now)
                _queue(book, changes.closed, "closed", now)
    return opened


def close_departed(
    book: MonitoringStore,
    serving: Collection[tuple[str, Digest]],
    judged: Collection[tuple[str, Digest]],
    now: datetime,
    *,
    queue: bool,
) -> list[Alert]:
    """Close what is open about versions that no longer serve: nobody looks at them any more.

    judged: those whose labels are still looked at; what these say stays open.
    """
    with book.transaction():
        gone = [
            alert
            for alert in book.alerts(open_only=True, limit=MANY)
            if (alert.model, alert.version) not in serving
            and not alert.is_of_workspace
            and not (alert.monitor == PERFORMANCE and (alert.model, alert.version) in judged)
        ]
        for alert in gone:
            book.close_alert(alert.id, now)
            book.set_details(alert.id, replace(alert.details, ended=LEFT))
        if queue:
            _queue(book, [replace(a, details=replace(a.details, ended=LEFT)) for a in gone], "closed", now)
    return gone


def send_due(book: MonitoringStore, notifier: Notifier, now: datetime, jitter: random.Random) -> tuple[int, list[str]]:
    """Send what is due, a bounded number at a time. Failures wait twice as long each time, up to an hour, give or take
    a half so that many do not come back at once. Returns how many were sent, and why others were not."""
    sent, failures = 0, []
    for message in book.due_messages(now)[:PER_STEP]:
        try:
            notifier.send(message.title, message.body, audience=message.audience)
        except ModelmarkError as error:
            wait = min(RETRY_FIRST * 2 ** min(message.tries, 16), RETRY_MOST) * jitter.uniform(0.5, 1.5)
            book.message_failed(message.key, now, now + wait, error.message)
            failures.append(error.message)
        else:
            book.message_sent(message.key, now)
            sent += 1
    return sent, failures


def _queue(book: MonitoringStore, alerts: Iterable[Alert], what: str, now: datetime) -> None:
    for model in sorted({alert.model for alert in alerts}):
        mine = by_harm(alert for alert in alerts if alert.model == model)
        names = ", ".join(dict.fromkeys(f"{alert.monitor} of {alert.topic}" for alert in mine[:3]))
        more = f" and {len(mine) - 3} more" if len(mine) > 3 else ""
        whose = {alert.place for alert in mine if alert.details.label}
        who = whose.pop() if len(whose) == 1 else model
        book.queue_message(_key(what, mine), f"{who}: {names}{more} {_SAID[what]}", "\n".join(map(_line, mine)), now)


def _line(alert: Alert) -> str:
    since = f"{alert.about}, since {alert.opened_at:%Y-%m-%d %H:%M} UTC"
    over = f"; over: {alert.details.ended}" if alert.details.ended else ""
    more = (
        ""
        if alert.closed_at
        else f"\n  {next_step(alert)} More: modelmark alerts show {alert.id}, or /alerts/{alert.id}"
    )
    return f"- {alert.sentence} ({since}{over}){more}"


def _key(what: str, alerts: Sequence[Alert]) -> str:
    """Names the alerts a message tells of, so that it is queued once; many by a digest, for a key has 255 characters."""
    numbers = [f"{alert.id}.{alert.details.reopened}" if alert.details.reopened else f"{alert.id}" for alert in alerts]
    key = f"{what}-" + "-".join(numbers)
    if len(key) <= MOST_KEY:
        return key
    named = "-".join(numbers[:8])
    return f"{what}-{named}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
