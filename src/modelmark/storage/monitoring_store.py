"""The steward's memory in SQL: checkpoints, profiles, findings, alerts and the outbox."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Select, Table, and_, case, delete, func, insert, or_, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from modelmark.domain.alerts.outbox import HOOK, MOST_TRIES, PRUNED, Undelivered
from modelmark.domain.digest import Digest
from modelmark.domain.errors import no_alert
from modelmark.domain.finding import Alert, AlertDetails, Finding, Outcome, Window
from modelmark.domain.ports import Delivery, Message
from modelmark.seal.digests import canonical
from modelmark.seal.values import decode
from modelmark.storage import tables
from modelmark.storage.database import Database
from modelmark.storage.sums import SignedSums

#: Findings that are removed in one transaction.
_AT_ONCE: Final = 500
#: Messages that are read at once to be sent.
_DUE: Final = 200


class SqlMonitoringStore:
    """Implements `domain.ports.MonitoringStore`."""

    def __init__(self, database: Database, sums: SignedSums | None = None) -> None:
        """sums: signs what findings and alerts add up to; None signs nothing."""
        self._database = database
        self._sums = sums or SignedSums(None)

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def checkpoint(self, name: str) -> Mapping[str, Any]:
        query = select(tables.checkpoints.c.body).where(tables.checkpoints.c.name == name)
        with self._database.reading() as connection:
            body = connection.execute(query).scalar()
        found: Mapping[str, Any] = json.loads(body) if body else {}
        return found

    def set_checkpoint(self, name: str, value: Mapping[str, Any]) -> None:
        with self._database.writing() as connection:
            _upsert(connection, tables.checkpoints, {"name": name, "body": canonical(value).decode()})

    def add_profile(self, model: str, version: str, bucket: datetime, column: str, counts: bytes) -> None:
        row = {"model": model, "version": version, "bucket": bucket, "column": column, "counts": counts}
        with self._database.writing() as connection:
            _upsert(connection, tables.profiles, row)

    def profiles(
        self, model: str, version: str, start: datetime, end: datetime, *, column: str | None = None
    ) -> Iterable[tuple[datetime, str, bytes]]:
        table = tables.profiles
        query = (
            select(table.c.bucket, table.c.column, table.c.counts)
            .where(table.c.model == model, table.c.version == version)
            .where(table.c.bucket >= start, table.c.bucket < end)
            .order_by(table.c.bucket, table.c.column)
        )
        if column is not None:
            query = query.where(table.c.column == column)
        with self._database.reading() as connection:
            return [(bucket, column, counts) for bucket, column, counts in connection.execute(query)]

    def active_buckets(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[datetime]:
        table = tables.profiles
        query = (
            select(table.c.bucket)
            .where(table.c.model == model, table.c.column == column, table.c.bucket >= start, table.c.bucket < end)
            .distinct()
            .order_by(table.c.bucket)
        )
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def counts(self, model: str, column: str, start: datetime, end: datetime) -> Sequence[bytes]:
        table = tables.profiles
        query = (
            select(table.c.counts)
            .where(table.c.model == model, table.c.column == column, table.c.bucket >= start, table.c.bucket < end)
            .order_by(table.c.version, table.c.bucket)
        )
        with self._database.reading() as connection:
            return list(connection.execute(query).scalars())

    def add_findings(self, findings: Iterable[Finding]) -> None:
        """Those of one window are summed and signed once."""
        windows: dict[tuple[str, str, Window], list[Finding]] = {}
        for finding in findings:
            windows.setdefault((finding.model, finding.version, finding.window), []).append(finding)
        table = tables.findings
        with self._database.writing() as connection:
            for (model, version, window), mine in windows.items():
                where = and_(
                    table.c.model == model, table.c.version == version,
                    table.c.start == window.start, table.c.end == window.end,
                )  # fmt: skip
                with self._sums.changing(connection, table, where):
                    for finding in mine:
                        key = ("model", "version", "monitor", "subject", "start", "end")
                        _upsert(connection, table, _finding_row(finding), key=key)

    def findings(
        self,
        model: str,
        *,
        version: Digest | None = None,
        start: datetime | None = None,
        monitor: str | None = None,
        limit: int = 1000,
    ) -> Sequence[Finding]:
        """Newest window first."""
        table = tables.findings
        query = select(table.c.body).where(table.c.model == model)
        if version is not None:
            query = query.where(table.c.version == version)
        if start is not None:
            query = query.where(table.c.end > start)
        if monitor is not None:
            query = query.where(table.c.monitor == monitor)
        query = query.order_by(table.c.end.desc(), table.c.id).limit(limit)
        with self._database.reading() as connection:
            return [decode(Finding, body.encode()) for (body,) in connection.execute(query)]

    def thin_findings(self, before: datetime, span: timedelta, *, but: Collection[str] = ()) -> int:
        table = tables.findings
        which = func.row_number().over(
            partition_by=(
                table.c.model, table.c.version, table.c.monitor, table.c.subject,
                type_coerce(table.c.end, BigInteger) // (span // timedelta(microseconds=1)),
            ),
            order_by=(case((table.c.outcome == Outcome.ALERT.value, 0), else_=1), table.c.end.desc(), table.c.id),
        )  # fmt: skip
        ranked = (
            select(table.c.id, which.label("which")).where(table.c.end < before, table.c.monitor.not_in(but)).subquery()
        )
        return self._remove_findings(select(ranked.c.id).where(ranked.c.which > 1))

    def drop_findings(self, before: datetime) -> int:
        return self._remove_findings(select(tables.findings.c.id).where(tables.findings.c.end < before))

    def _remove_findings(self, query: Select[Any]) -> int:
        """A bounded number in one transaction, so that others get their turn."""
        table, gone = tables.findings, 0
        while True:
            with self._database.writing() as connection:
                ids = list(connection.execute(query.limit(_AT_ONCE)).scalars())
                where = table.c.id.in_(ids)
                with self._sums.changing(connection, table, where):
                    connection.execute(delete(table).where(where))
            gone += len(ids)
            if len(ids) < _AT_ONCE:
                return gone

    def drop_messages(self, before: datetime) -> int:
        table = tables.outbox
        about = or_(*(table.c.key.startswith(begins, autoescape=True) for begins in PRUNED))
        with self._database.writing() as connection:
            return int(connection.execute(delete(table).where(table.c.sent_at < before, about)).rowcount)

    def profiled(self) -> Sequence[tuple[str, str, datetime]]:
        table = tables.profiles
        query = select(table.c.model, table.c.version, func.min(table.c.bucket)).group_by(
            table.c.model, table.c.version
        )
        with self._database.reading() as connection:
            found = connection.execute(query.order_by(table.c.model, table.c.version))
            return [(model, version, oldest) for model, version, oldest in found]

    def drop_profiles(
        self, *, before: datetime, since: datetime | None = None, of: tuple[str, str] | None = None, but: str = ""
    ) -> None:
        table = tables.profiles
        statement = delete(table).where(table.c.bucket < before, table.c.column != but)
        if since is not None:
            statement = statement.where(table.c.bucket >= since)
        if of is not None:
            statement = statement.where(table.c.model == of[0], table.c.version == of[1])
        with self._database.writing() as connection:
            connection.execute(statement)

    def open_alert(self, finding: Finding, at: datetime) -> tuple[Alert, bool]:
        table = tables.alerts
        story = (
            (table.c.model == finding.model)
            & (table.c.version == finding.version)
            & (table.c.monitor == finding.monitor)
            & (table.c.subject == finding.subject)
            & (table.c.closed_at.is_(None))
        )
        with self._database.writing() as connection, self._sums.changing(connection, table, story):
            row = connection.execute(select(table).where(story)).first()
            if row is None:
                connection.execute(
                    insert(table).values(
                        model=finding.model,
                        version=finding.version,
                        monitor=finding.monitor,
                        subject=finding.subject,
                        sentence=finding.sentence,
                        opened_at=at,
                        seen_at=at,
                        count=1,
                    )
                )
            else:
                connection.execute(
                    update(table)
                    .where(table.c.id == row.id)
                    .values(sentence=finding.sentence, seen_at=at, count=table.c.count + 1)
                )
            found = _alert(connection.execute(_with_details().where(story)).one())
        if row is not None:
            return found, False
        details = AlertDetails(label=finding.label, arm=finding.arm)
        self.set_details(found.id, details)
        return replace(found, details=details), True

    def set_details(self, alert: int, details: AlertDetails) -> None:
        with self._database.writing() as connection:
            _upsert(connection, tables.alert_details, {"alert": alert, "body": canonical(details).decode()})

    def alert(self, id: int) -> Alert:
        with self._database.reading() as connection:
            row = connection.execute(_with_details().where(tables.alerts.c.id == id)).first()
        if row is None:
            raise no_alert(id)
        return _alert(row)

    def close_alert(self, alert: int, at: datetime) -> None:
        table = tables.alerts
        with self._database.writing() as connection, self._sums.changing(connection, table, table.c.id == alert):
            connection.execute(
                update(table).where(table.c.id == alert, table.c.closed_at.is_(None)).values(closed_at=at)
            )

    def reopen_alert(self, alert: int) -> None:
        table = tables.alerts
        with self._database.writing() as connection, self._sums.changing(connection, table, table.c.id == alert):
            connection.execute(update(table).where(table.c.id == alert).values(closed_at=None))

    def alerts(self, *, model: str | None = None, open_only: bool = False, limit: int = 200) -> Sequence[Alert]:
        """Newest first."""
        table = tables.alerts
        query = _with_details().order_by(table.c.opened_at.desc(), table.c.id.desc()).limit(limit)
        if model is not None:
            query = query.where(table.c.model == model)
        if open_only:
            query = query.where(table.c.closed_at.is_(None))
        with self._database.reading() as connection:
            return [_alert(row) for row in connection.execute(query)]

    def queue_message(
        self, key: str, title: str, body: str, at: datetime, *, audience: str = "", severity: str = ""
    ) -> None:
        row = {
            "key": key,
            "title": title,
            "body": body,
            "due_at": at,
            "tries": 0,
            "audience": audience,
            "severity": severity,
        }
        with self._database.writing() as connection:
            connection.execute(_insert(connection, tables.outbox).values(**row).on_conflict_do_nothing())

    def due_messages(self, now: datetime, *, hook: str | None = None) -> Sequence[Message]:
        table = tables.outbox
        to_hooks = table.c.audience.startswith(HOOK, autoescape=True)
        query = (
            select(table.c.key, table.c.title, table.c.body, table.c.tries, table.c.audience, table.c.severity)
            .where(table.c.sent_at.is_(None), table.c.due_at <= now, table.c.tries < MOST_TRIES)
            .where(~to_hooks if hook is None else table.c.audience == f"{HOOK}{hook}")
            .order_by(table.c.due_at, table.c.key)
            .limit(_DUE)
        )
        with self._database.reading() as connection:
            return [Message(**row._mapping) for row in connection.execute(query)]

    def message_sent(self, key: str, at: datetime) -> None:
        with self._database.writing() as connection:
            connection.execute(update(tables.outbox).where(tables.outbox.c.key == key).values(sent_at=at, error=None))

    def message_failed(self, key: str, at: datetime, retry_at: datetime, error: str) -> None:
        table = tables.outbox
        with self._database.writing() as connection:
            connection.execute(
                update(table).where(table.c.key == key).values(due_at=retry_at, tries=table.c.tries + 1, error=error)
            )

    def undelivered(self, *, least_tries: int = 0) -> Sequence[Undelivered]:
        table = tables.outbox
        query = (
            select(table.c.key, table.c.title, table.c.audience, table.c.tries, table.c.due_at, table.c.error)
            .where(table.c.sent_at.is_(None), table.c.tries >= least_tries)
            .order_by(table.c.key)
        )
        with self._database.reading() as connection:
            return [Undelivered(**{**row._mapping, "error": row.error or ""}) for row in connection.execute(query)]

    def give_up(self, keys: Collection[str], error: str) -> None:
        table = tables.outbox
        statement = update(table).where(table.c.key.in_(keys), table.c.sent_at.is_(None))
        with self._database.writing() as connection:
            connection.execute(statement.values(tries=MOST_TRIES, error=error))

    def send_again(self, keys: Collection[str], at: datetime) -> int:
        table = tables.outbox
        statement = update(table).where(table.c.key.in_(keys), table.c.sent_at.is_(None)).values(due_at=at, tries=0)
        with self._database.writing() as connection:
            return int(connection.execute(statement).rowcount)

    def deliveries(self, beginning: str) -> Sequence[Delivery]:
        table = tables.outbox
        query = (
            select(table.c.key, table.c.audience, table.c.sent_at)
            .where(table.c.key.startswith(beginning, autoescape=True))
            .order_by(table.c.key)
        )
        with self._database.reading() as connection:
            return [Delivery(**row._mapping) for row in connection.execute(query)]


def _finding_row(finding: Finding) -> dict[str, Any]:
    return {
        "model": finding.model,
        "version": finding.version,
        "monitor": finding.monitor,
        "subject": finding.subject,
        "start": finding.window.start,
        "end": finding.window.end,
        "outcome": finding.outcome.value,
        "body": canonical(finding).decode(),
    }


def _insert(connection: Connection, table: Table) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _upsert(connection: Connection, table: Table, row: Mapping[str, Any], key: tuple[str, ...] | None = None) -> None:
    names = key or tuple(column.name for column in table.primary_key)
    rest = {name: value for name, value in row.items() if name not in names}
    statement = _insert(connection, table).values(**row)
    connection.execute(statement.on_conflict_do_update(index_elements=names, set_=rest))


def _with_details() -> Select[Any]:
    alerts, details = tables.alerts, tables.alert_details
    return select(alerts, details.c.body.label("details")).outerjoin(details, details.c.alert == alerts.c.id)


def _alert(row: Any) -> Alert:
    named = row._mapping
    return Alert(
        id=named["id"],
        model=named["model"],
        version=Digest(named["version"]),
        monitor=named["monitor"],
        subject=named["subject"],
        sentence=named["sentence"],
        opened_at=named["opened_at"],
        seen_at=named["seen_at"],
        count=named["count"],
        closed_at=named["closed_at"],
        details=decode(AlertDetails, named["details"].encode()) if named["details"] else AlertDetails(),
    )
