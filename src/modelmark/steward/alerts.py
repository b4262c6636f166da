"""From findings to alerts to messages: one story is told once when it begins and once when it ends."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Alert, Finding, Outcome
from modelmark.domain.harm import by_harm
from modelmark.domain.ports import MonitoringStore, Notifier
from modelmark.monitors.performance import NAME as PERFORMANCE

RETRY_FIRST: Final = timedelta(seconds=15)
RETRY_MOST: Final = timedelta(hours=1)
PER_STEP: Final = 20


def tell(
    book: MonitoringStore, findings: Sequence[Finding], now: datetime, *, every: timedelta, queue: bool
) -> list[Alert]:
    """Open and close alerts as the findings of one look say; queue one message for all that opened and one for all
    that closed.

    An alert closes when its subject was well in two looks running, so a value at the edge does not ring twice a minute.
    Returns the alerts that are new.
    """
    opened: list[Alert] = []
    with book.transaction():
        for finding in findings:
            if finding.outcome is Outcome.ALERT:
                alert, new = book.open_alert(finding, now)
                if new:
                    opened.append(alert)
        well = {(f.version, f.monitor, f.subject) for f in findings if f.outcome is Outcome.OK}
        closed = [
            alert
            for model in {f.model for f in findings}
            for alert in book.alerts(model=model, open_only=True, limit=10_000)
            if (alert.version, alert.monitor, alert.subject) in well and now - alert.seen_at >= 1.5 * every
        ]
        for alert in closed:
            book.close_alert(alert.id, now)
        if queue:
            _queue(book, opened, "opened", now)
            _queue(book, closed, "closed", now)
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
            for alert in book.alerts(open_only=True, limit=10_000)
            if (alert.model, alert.version) not in serving
            and not (alert.monitor == PERFORMANCE and (alert.model, alert.version) in judged)
        ]
        for alert in gone:
            book.close_alert(alert.id, now)
        if queue:
            _queue(book, gone, "closed", now, why="The version no longer serves. ")
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


def _queue(book: MonitoringStore, alerts: Iterable[Alert], what: str, now: datetime, why: str = "") -> None:
    for model in sorted({alert.model for alert in alerts}):
        mine = by_harm(alert for alert in alerts if alert.model == model)
        key = f"{what}-" + "-".join(str(alert.id) for alert in mine[:50])
        names = ", ".join(dict.fromkeys(f"{alert.monitor} of {alert.subject}" for alert in mine[:3]))
        more = f" and {len(mine) - 3} more" if len(mine) > 3 else ""
        title = f"{model}: {names}{more} {'needs a look' if what == 'opened' else 'is over'}"
        lines = [f"- {alert.sentence} ({alert.about}, since {alert.opened_at:%Y-%m-%d %H:%M} UTC)" for alert in mine]
        book.queue_message(key, title, why + "\n".join(lines), now)
