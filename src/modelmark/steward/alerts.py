"""From findings to alerts to messages: one story is told once when it begins and once when it ends."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.alerts.harm import Severity, by_harm, severity_of
from modelmark.domain.alerts.next_step import next_step
from modelmark.domain.alerts.outbox import wait_after
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Alert, Finding
from modelmark.domain.ports import MonitoringStore, Notifier
from modelmark.monitors.performance import NAME as PERFORMANCE
from modelmark.steward.responses import Responses
from modelmark.steward.stories import MANY, Stories

#: Nobody in particular answers, and no public address is known.
NOBODY: Final = Responses()
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
    responses: Responses = NOBODY,
) -> list[Alert]:
    """Open and close alerts as the findings of one look say; queue one message for all that opened, one for all that are
    back, and one for all that closed. idle: versions without any traffic in the window. responses: who answers for what; each
    owner has messages of their own.

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
                _queue(book, changes.opened, "opened", now, responses)
                _queue(book, changes.again, "back", now, responses)
                _queue(book, changes.closed, "closed", now, responses)
    return opened


def close_departed(
    book: MonitoringStore,
    serving: Collection[tuple[str, Digest]],
    judged: Collection[tuple[str, Digest]],
    now: datetime,
    *,
    queue: bool,
    responses: Responses = NOBODY,
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
            _queue(book, [replace(a, details=replace(a.details, ended=LEFT)) for a in gone], "closed", now, responses)
    return gone


def send_due(book: MonitoringStore, notifier: Notifier, now: datetime, jitter: random.Random) -> tuple[int, list[str]]:
    """Send people what is due, a bounded number at a time. Failures wait twice as long each time, up to an hour, give or take
    a half so that many do not come back at once; after `MOST_TRIES` they are dead letters. Returns how many were sent, and
    why others were not."""
    sent, failures = 0, []
    for message in book.due_messages(now)[:PER_STEP]:
        try:
            notifier.send(message.title, message.body, audience=message.audience, severity=message.severity)
        except ModelmarkError as error:
            wait = wait_after(message.tries, jitter.uniform(0.5, 1.5))
            book.message_failed(message.key, now, now + wait, error.message)
            failures.append(error.message)
        else:
            book.message_sent(message.key, now)
            sent += 1
    return sent, failures


def _queue(book: MonitoringStore, alerts: Collection[Alert], what: str, now: datetime, responses: Responses) -> None:
    owners = {alert.id: responses.to(alert).owner or "" for alert in alerts}
    for model, owner in sorted({(alert.model, owners[alert.id]) for alert in alerts}):
        mine = by_harm(alert for alert in alerts if (alert.model, owners[alert.id]) == (model, owner))
        names = ", ".join(dict.fromkeys(f"{alert.monitor} of {alert.topic}" for alert in mine[:3]))
        more = f" and {len(mine) - 3} more" if len(mine) > 3 else ""
        whose = {alert.place for alert in mine if alert.details.label}
        who = whose.pop() if len(whose) == 1 else model
        title = f"{who}: {names}{more} {_SAID[what]}"
        body = "\n".join(line(alert, responses) for alert in mine)
        loud = "" if what == "closed" else min(map(severity_of, mine), key=list(Severity).index)
        book.queue_message(_key(what, mine), title, body, now, audience=owner, severity=loud)


def line(alert: Alert, responses: Responses) -> str:
    """One alert in a message: what it says, since when, what to do, and where more is."""
    runbook = responses.to(alert).runbook
    since = f"{alert.about}, since {alert.opened_at:%Y-%m-%d %H:%M} UTC"
    over = f"; over: {alert.details.ended}" if alert.details.ended else ""
    more = ""
    if not alert.closed_at:
        more = f"\n  {next_step(alert)} More: modelmark alerts show {alert.id}, or {responses.page(alert)}"
        more += f"\n  Runbook: {runbook}" if runbook else ""
    return f"- {alert.sentence} ({since}{over}){more}"


def _key(what: str, alerts: Sequence[Alert]) -> str:
    """Names the alerts a message tells of, so that it is queued once; many by a digest, for a key has 255 characters."""
    numbers = [f"{alert.id}.{alert.details.reopened}" if alert.details.reopened else f"{alert.id}" for alert in alerts]
    key = f"{what}-" + "-".join(numbers)
    if len(key) <= MOST_KEY:
        return key
    named = "-".join(numbers[:8])
    return f"{what}-{named}-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
