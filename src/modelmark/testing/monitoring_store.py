"""An in-memory twin of `domain.ports.MonitoringStore`, for tests that do not need SQL."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmark.domain.alerts.outbox import HOOK, MOST_TRIES, PRUNED, Undelivered
from modelmark.domain.digest import Digest
from modelmark.domain.errors import no_alert
from modelmark.domain.finding import Alert, AlertDetails, Finding, Outcome
from modelmark.domain.ports import Delivery, Message
from modelmark.seal.digests import canonical
from modelmark.testing.transactional import Transactional


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queued:
    message: Message
    due_at: datetime
    sent_at: datetime | None = None
    error: str = ""


class MemoryMonitoringStore(Transactional):
    """Behaves as the SQL store does, transactions included."""

    def __init__(self) -> None:
        super().__init__()
        self._checkpoints: dict[str, bytes] = {}
        self._profiles: dict[tuple[str, str, datetime, str], bytes] = {}
        self._findings: dict[tuple[Any, ...], Finding] = {}
        self._alerts: dict[int, Alert] = {}
        self._outbox: dict[str, _Queued] = {}
        self._numbers = itertools.count(1)

    def checkpoint(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self._checkpoints.get(name, b"{}"))
        return found

    def set_checkpoint(self, name: str, value: Mapping[str, Any]) -> None:
        self._checkpoints[name] = canonical(value)

    def add_profile(self, model: str, version: str, bucket: datetime, column: str, counts: bytes) -> None:
        self._profiles[model, version, bucket, column] = counts

    def profiles(
        self, model: str, version: str, start: datetime, end: datetime, *, column: str | None = None
    ) -> Iterable[tuple[datetime, str, bytes]]:
        return [
            (bucket, named, counts)
            for (m, v, bucket, named), counts in sorted(self._profiles.items())
            if (m, v) == (model, version) and start <= bucket < end and column in (None, named)
        ]

    def active_buckets(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[datetime]:
        return sorted({b for (m, _, b, c) in self._profiles if (m, c) == (model, column) and start <= b < end})

    def counts(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[bytes]:
        mine = sorted(key for key in self._profiles if (key[0], key[3]) == (model, column) and start <= key[2] < end)
        return [self._profiles[key] for key in mine]

    def add_findings(self, findings: Iterable[Finding]) -> None:
        for f in findings:
            self._findings[f.model, f.version, f.monitor, f.subject, f.window] = f

    def findings(
        self,
        model: str,
        *,
        version: Digest | None = None,
        start: datetime | None = None,
        monitor: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Finding]:
        found = [
            f
            for f in self._findings.values()
            if f.model == model and version in (None, f.version) and monitor in (None, f.monitor)
            if start is None or f.window.end > start
        ]
        return sorted(found, key=lambda f: f.window.end, reverse=True)[:limit]

    def thin_findings(self, before: datetime, span: timedelta, *, but: Collection[str] = ()) -> int:
        groups: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for key, f in self._findings.items():
            if f.window.end < before and f.monitor not in but:
                part = (f.window.end - datetime(1970, 1, 1, tzinfo=UTC)) // span
                groups.setdefault((f.model, f.version, f.monitor, f.subject, part), []).append(key)
        gone = [key for keys in groups.values() for key in sorted(keys, key=self._worth, reverse=True)[1:]]
        for key in gone:
            del self._findings[key]
        return len(gone)

    def _worth(self, key: tuple[Any, ...]) -> tuple[bool, datetime]:
        found = self._findings[key]
        return found.outcome is Outcome.ALERT, found.window.end

    def drop_findings(self, before: datetime) -> int:
        gone = [key for key, f in self._findings.items() if f.window.end < before]
        for key in gone:
            del self._findings[key]
        return len(gone)

    def drop_messages(self, before: datetime) -> int:
        gone = [
            key
            for key, queued in self._outbox.items()
            if key.startswith(PRUNED) and queued.sent_at is not None and queued.sent_at < before
        ]
        for key in gone:
            del self._outbox[key]
        return len(gone)

    def profiled(self) -> Sequence[tuple[str, str, datetime]]:
        oldest: dict[tuple[str, str], datetime] = {}
        for model, version, bucket, _ in self._profiles:
            oldest[model, version] = min(bucket, oldest.get((model, version), bucket))
        return [(model, version, bucket) for (model, version), bucket in sorted(oldest.items())]

    def drop_profiles(
        self, *, before: datetime, since: datetime | None = None, of: tuple[str, str] | None = None, but: str = ""
    ) -> None:
        for key in list(self._profiles):
            model, version, bucket, column = key
            if (
                (since is None or bucket >= since)
                and bucket < before
                and of in (None, (model, version))
                and column != but
            ):
                del self._profiles[key]

    def open_alert(self, finding: Finding, at: datetime) -> tuple[Alert, bool]:
        story = (finding.model, finding.version, finding.monitor, finding.subject)
        for known in self.alerts(open_only=True, limit=len(self._alerts)):
            if (known.model, known.version, known.monitor, known.subject) == story:
                more = replace(known, sentence=finding.sentence, seen_at=at, count=known.count + 1)
                self._alerts[known.id] = more
                return more, False
        alert = Alert(
            id=next(self._numbers),
            model=finding.model,
            version=finding.version,
            monitor=finding.monitor,
            subject=finding.subject,
            sentence=finding.sentence,
            opened_at=at,
            seen_at=at,
            count=1,
            closed_at=None,
            details=AlertDetails(label=finding.label, arm=finding.arm),
        )
        self._alerts[alert.id] = alert
        return alert, True

    def set_details(self, alert: int, details: AlertDetails) -> None:
        self._alerts[alert] = replace(self._alerts[alert], details=details)

    def alert(self, id: int) -> Alert:
        if id not in self._alerts:
            raise no_alert(id)
        return self._alerts[id]

    def close_alert(self, alert: int, at: datetime) -> None:
        known = self._alerts[alert]
        if known.closed_at is None:
            self._alerts[alert] = replace(known, closed_at=at)

    def reopen_alert(self, alert: int) -> None:
        self._alerts[alert] = replace(self._alerts[alert], closed_at=None)

    def alerts(self, *, model: str | None = None, open_only: bool = False, limit: int = 200) -> Sequence[Alert]:
        found = [
            a for a in self._alerts.values() if model in (None, a.model) and not (open_only and a.closed_at is not None)
        ]
        return sorted(found, key=lambda a: (a.opened_at, a.id), reverse=True)[:limit]

    def queue_message(
        self, key: str, title: str, body: str, at: datetime, *, audience: str = "", severity: str = ""
    ) -> None:
        message = Message(key=key, title=title, body=body, tries=0, audience=audience, severity=severity)
        self._outbox.setdefault(key, _Queued(message=message, due_at=at))

    def due_messages(self, now: datetime, *, hook: str | None = None) -> Sequence[Message]:
        due = [
            queued
            for queued in self._outbox.values()
            if queued.sent_at is None and queued.due_at <= now and queued.message.tries < MOST_TRIES
        ]
        ordered = [queued.message for queued in sorted(due, key=lambda queued: (queued.due_at, queued.message.key))]
        if hook is None:
            return [message for message in ordered if not message.audience.startswith(HOOK)]
        return [message for message in ordered if message.audience == f"{HOOK}{hook}"]

    def undelivered(self, *, least_tries: int = 0) -> Sequence[Undelivered]:
        return [
            Undelivered(
                key=key, title=queued.message.title, audience=queued.message.audience, tries=queued.message.tries,
                due_at=queued.due_at, error=queued.error,
            )
            for key, queued in sorted(self._outbox.items())
            if queued.sent_at is None and queued.message.tries >= least_tries
        ]  # fmt: skip

    def give_up(self, keys: Collection[str], error: str) -> None:
        for key in keys:
            known = self._outbox.get(key)
            if known is not None and known.sent_at is None:
                self._outbox[key] = replace(known, error=error, message=replace(known.message, tries=MOST_TRIES))

    def send_again(self, keys: Collection[str], at: datetime) -> int:
        mine = [key for key in keys if key in self._outbox and self._outbox[key].sent_at is None]
        for key in mine:
            known = self._outbox[key]
            self._outbox[key] = replace(known, due_at=at, message=replace(known.message, tries=0))
        return len(mine)

    def message_sent(self, key: str, at: datetime) -> None:
        self._outbox[key] = replace(self._outbox[key], sent_at=at)

    def message_failed(self, key: str, at: datetime, retry_at: datetime, error: str) -> None:
        known = self._outbox[key]
        tried = replace(known.message, tries=known.message.tries + 1)
        self._outbox[key] = replace(known, message=tried, due_at=retry_at, error=error)

    def deliveries(self, beginning: str) -> Sequence[Delivery]:
        return [
            Delivery(key=key, audience=queued.message.audience, sent_at=queued.sent_at)
            for key, queued in sorted(self._outbox.items())
            if key.startswith(beginning)
        ]
