"""Governance's memory in SQL: versions, evidence, approvals, waivers, snapshots and the audit chain."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, Missing
from modelmark.domain.evidence import Evidence
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import Row
from modelmark.domain.version import Version
from modelmark.domain.version_record import VersionRecord
from modelmark.seal.digests import canonical
from modelmark.seal.values import decode
from modelmark.storage import tables
from modelmark.storage.database import Database, damaged
from modelmark.storage.written import any_text, raw_rows

T = TypeVar("T")
#: Versions that one query asks about; databases bound the values of one.
_TOGETHER: Final = 500


class SqlLedger:
    """Implements `domain.ports.Ledger`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[None]:
        return self._database.transaction()

    def add_version(self, version: Version) -> None:
        self._insert(
            tables.versions,
            id=version.id,
            model=version.model,
            number=version.number,
            state=State.REGISTERED.value,
            body=_text(version),
        )

    def version(self, id: Digest) -> Version:
        return decode(Version, self._version_row(id).body.encode())

    def versions(self, model: str | None = None) -> Sequence[Version]:
        query = select(tables.versions.c.body).order_by(tables.versions.c.model, tables.versions.c.number)
        if model is not None:
            query = query.where(tables.versions.c.model == model)
        return self._bodies(query, Version)

    def records(self, ids: Collection[Digest]) -> Mapping[Digest, VersionRecord]:
        found: dict[Digest, VersionRecord] = {}
        asked = list(ids)
        with self._database.reading() as connection:
            for first in range(0, len(asked), _TOGETHER):
                found |= _records(connection, asked[first : first + _TOGETHER])
        if missing := [id for id in asked if id not in found]:
            raise _no_version(missing[0])
        return {id: found[id] for id in asked}

    def state(self, id: Digest) -> State:
        return State(self._version_row(id).state)

    def set_state(self, id: Digest, state: State, *, expected: State) -> None:
        query = (
            update(tables.versions)
            .where(tables.versions.c.id == id, tables.versions.c.state == expected.value)
            .values(state=state.value)
        )
        with self._database.writing() as connection:
            changed = connection.execute(query).rowcount
            self._database.written.note(connection, tables.versions, id)
        if changed != 1:
            raise Conflict(
                f"version {id.short} is no longer {expected}", code="STATE_CHANGED", hint="look again: modelmark status"
            )

    def add_evidence(self, evidence: Evidence) -> None:
        self._insert(
            tables.evidence,
            version=evidence.candidate,
            gate=evidence.gate,
            at=evidence.at,
            body=_text(evidence),
        )

    def evidence(self, id: Digest) -> Sequence[Evidence]:
        table = tables.evidence
        return self._bodies(select(table.c.body).where(table.c.version == id).order_by(table.c.id), Evidence)

    def add_approval(self, approval: Approval) -> None:
        try:
            self._insert(tables.approvals, version=approval.version, body=_text(approval), nonce=approval.nonce or None)
        except Conflict:
            raise Conflict(
                "this ticket was used before: an approval works once", code="NONCE_USED", hint="open the page again"
            ) from None

    def approvals(self, id: Digest) -> Sequence[Approval]:
        table = tables.approvals
        return self._bodies(select(table.c.body).where(table.c.version == id).order_by(table.c.id), Approval)

    def add_waiver(self, waiver: Waiver) -> None:
        self._insert(tables.waivers, version=waiver.version, body=_text(waiver))

    def waivers(self, id: Digest) -> Sequence[Waiver]:
        table = tables.waivers
        return self._bodies(select(table.c.body).where(table.c.version == id).order_by(table.c.id), Waiver)

    def add_comment(self, comment: Comment) -> None:
        self._insert(tables.comments, id=comment.id, version=comment.version, at=comment.at, body=_text(comment))

    def comments(self, id: Digest) -> Sequence[Comment]:
        table = tables.comments
        query = select(table.c.body).where(table.c.version == id).order_by(table.c.at, table.c.id)
        return self._bodies(query, Comment)

    def set_snapshot(self, snapshot: Snapshot) -> None:
        self._insert(tables.snapshots, sequence=snapshot.sequence, body=_text(snapshot))

    def snapshot(self) -> Snapshot | None:
        query = select(tables.snapshots.c.body).order_by(tables.snapshots.c.sequence.desc()).limit(1)
        return next(iter(self._bodies(query, Snapshot)), None)

    def append_event(self, event: Event) -> None:
        self._insert(tables.audit, sequence=event.sequence, at=event.at, body=_text(event))

    def last_event(self) -> Event | None:
        query = select(tables.audit.c.body).order_by(tables.audit.c.sequence.desc()).limit(1)
        return next(iter(self._bodies(query, Event)), None)

    def events(self, *, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        table = tables.audit
        query = select(table.c.body).where(table.c.sequence > after).order_by(table.c.sequence).limit(limit)
        return self._bodies(query, Event)

    def take_written(self) -> Mapping[str, str | None]:
        return self._database.written.take()

    def rows(self) -> Iterator[Row]:
        with self._verifying() as connection:
            for table in tables.GOVERNED:
                yield from raw_rows(connection, table)

    def summed_rows(self) -> Mapping[str, Sequence[Row]]:
        with self._verifying() as connection:
            return {table.name: list(raw_rows(connection, table)) for table in tables.SUMMED}

    def row_counts(self) -> Mapping[str, int]:
        with self._database.reading() as connection:
            return {
                table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
                for table in tables.GOVERNED
            }

    def audit_rows(self) -> Iterator[Row]:
        with self._verifying() as connection:
            yield from raw_rows(connection, tables.audit)

    def heads(self) -> Mapping[str, str]:
        with self._database.reading() as connection:
            return {
                row.name: row.body for row in connection.execute(select(tables.heads).order_by(tables.heads.c.name))
            }

    def head(self, name: str) -> str | None:
        query = select(tables.heads.c.body).where(tables.heads.c.name == name)
        with self._verifying() as connection, any_text(connection):
            found = connection.execute(query).scalar()
        return None if found is None else str(found)

    def set_head(self, name: str, envelope: str) -> None:
        with self._database.writing() as connection:
            connection.execute(delete(tables.heads).where(tables.heads.c.name == name))
            connection.execute(insert(tables.heads).values(name=name, body=envelope))

    @contextmanager
    def _verifying(self) -> Iterator[Connection]:
        """For what verification reads. Raises Tampered (DATABASE_DAMAGED) where the database cannot."""
        try:
            with self._database.reading() as connection:
                yield connection
        except DatabaseError as error:
            if isinstance(error, OperationalError) and "no such" not in str(error.orig):
                raise  # locked, or nobody answers: that says nothing of what is in it
            raise damaged(error) from None

    def _insert(self, table: Table, **values: Any) -> None:
        try:
            with self._database.writing() as connection:
                done = connection.execute(insert(table).values(**values))
                if table in tables.GOVERNED and done.inserted_primary_key is not None:
                    self._database.written.note(connection, table, done.inserted_primary_key[0])
        except IntegrityError:
            raise Conflict(f"somebody else wrote this {table.name} row first", code="WRITTEN_ALREADY") from None

    def _bodies(self, query: Any, kind: type[T]) -> list[T]:
        with self._database.reading() as connection:
            return [decode(kind, body.encode()) for (body,) in connection.execute(query)]

    def _version_row(self, id: Digest) -> Any:
        with self._database.reading() as connection:
            row = connection.execute(select(tables.versions).where(tables.versions.c.id == id)).first()
        if row is None:
            raise _no_version(id)
        return row


def _records(connection: Connection, ids: Sequence[Digest]) -> dict[Digest, VersionRecord]:
    """Those of `ids` that are there, in one query a table."""
    versions, comments = tables.versions, tables.comments

    def about(table: Table, kind: type[T], *order: Any) -> dict[str, list[T]]:
        query = select(table.c.version, table.c.body).where(table.c.version.in_(ids)).order_by(*order)
        bodies: dict[str, list[T]] = {}
        for id, body in connection.execute(query):
            bodies.setdefault(id, []).append(decode(kind, body.encode()))
        return bodies

    evidence = about(tables.evidence, Evidence, tables.evidence.c.id)
    approvals = about(tables.approvals, Approval, tables.approvals.c.id)
    waivers = about(tables.waivers, Waiver, tables.waivers.c.id)
    said = about(comments, Comment, comments.c.at, comments.c.id)
    query = select(versions.c.id, versions.c.state, versions.c.body).where(versions.c.id.in_(ids))
    return {
        Digest(id): VersionRecord(
            version=decode(Version, body.encode()),
            state=State(state),
            evidence=evidence.get(id, []),
            approvals=approvals.get(id, []),
            waivers=waivers.get(id, []),
            comments=said.get(id, []),
        )
        for id, state, body in connection.execute(query)
    }


def _no_version(id: Digest) -> Missing:
    return Missing(f"no version {id.short}", code="NO_VERSION", hint="modelmark status lists them")


def _text(value: Any) -> str:
    return canonical(value).decode()
