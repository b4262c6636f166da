"""An in-memory twin of `domain.ports.Ledger`, for tests that do not need SQL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, Missing
from modelmark.domain.evidence import Evidence
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.stored import Row
from modelmark.domain.version import Version
from modelmark.domain.version_record import VersionRecord
from modelmark.seal.digests import canonical, digest_value
from modelmark.testing.transactional import Transactional


class MemoryLedger(Transactional):
    """Behaves as the SQL ledger does, transactions included."""

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[Digest, tuple[Version, State]] = {}
        self._evidence: list[Evidence] = []
        self._approvals: list[Approval] = []
        self._waivers: list[Waiver] = []
        self._comments: list[Comment] = []
        self._snapshots: dict[int, Snapshot] = {}
        self._events: list[Event] = []
        self._heads: dict[str, str] = {}
        self._written: dict[str, str | None] = {}

    def add_version(self, version: Version) -> None:
        if version.id in self._versions:
            raise Conflict("somebody else wrote this versions row first", code="WRITTEN_ALREADY")
        self._versions[version.id] = (version, State.REGISTERED)
        self._note("versions", version.id, version, state=State.REGISTERED)

    def version(self, id: Digest) -> Version:
        return self._row(id)[0]

    def versions(self, model: str | None = None) -> Sequence[Version]:
        found = [version for version, _ in self._versions.values() if model in (None, version.model)]
        return sorted(found, key=lambda v: (v.model, v.number))

    def records(self, ids: Collection[Digest]) -> Mapping[Digest, VersionRecord]:
        return {
            id: VersionRecord(
                version=self.version(id),
                state=self.state(id),
                evidence=self.evidence(id),
                approvals=self.approvals(id),
                waivers=self.waivers(id),
                comments=self.comments(id),
            )
            for id in ids
        }

    def state(self, id: Digest) -> State:
        return self._row(id)[1]

    def set_state(self, id: Digest, state: State, *, expected: State) -> None:
        version, found = self._row(id)
        if found is not expected:
            raise Conflict(f"version {id.short} is no longer {expected}", code="STATE_CHANGED")
        self._versions[id] = (version, state)
        self._note("versions", id, version, state=state)

    def add_evidence(self, evidence: Evidence) -> None:
        self._evidence.append(evidence)
        self._note("evidence", len(self._evidence), evidence)

    def evidence(self, id: Digest) -> Sequence[Evidence]:
        return [item for item in self._evidence if item.candidate == id]

    def add_approval(self, approval: Approval) -> None:
        if approval.nonce and any(known.nonce == approval.nonce for known in self._approvals):
            raise Conflict("this ticket was used before: an approval works once", code="NONCE_USED")
        self._approvals.append(approval)
        self._note("approvals", len(self._approvals), approval)

    def approvals(self, id: Digest) -> Sequence[Approval]:
        return [item for item in self._approvals if item.version == id]

    def add_waiver(self, waiver: Waiver) -> None:
        self._waivers.append(waiver)
        self._note("waivers", len(self._waivers), waiver)

    def waivers(self, id: Digest) -> Sequence[Waiver]:
        return [item for item in self._waivers if item.version == id]

    def add_comment(self, comment: Comment) -> None:
        if any(known.id == comment.id for known in self._comments):
            raise Conflict("somebody else wrote this remarks row first", code="WRITTEN_ALREADY")
        self._comments.append(comment)
        self._note("remarks", comment.id, comment)

    def comments(self, id: Digest) -> Sequence[Comment]:
        return sorted((item for item in self._comments if item.version == id), key=lambda r: (r.at, r.id))

    def set_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.sequence in self._snapshots:
            raise Conflict("somebody else wrote this snapshots row first", code="WRITTEN_ALREADY")
        self._snapshots[snapshot.sequence] = snapshot
        self._note("snapshots", snapshot.sequence, snapshot)

    def snapshot(self) -> Snapshot | None:
        return self._snapshots[max(self._snapshots)] if self._snapshots else None

    def append_event(self, event: Event) -> None:
        if any(known.sequence == event.sequence for known in self._events):
            raise Conflict("somebody else wrote this audit row first", code="WRITTEN_ALREADY")
        self._events.append(event)

    def last_event(self) -> Event | None:
        return self._events[-1] if self._events else None

    def events(self, *, after: int = 0, limit: int | None = None) -> Sequence[Event]:
        return [event for event in self._events if event.sequence > after][:limit]

    def take_written(self) -> Mapping[str, str | None]:
        taken, self._written = self._written, {}
        return taken

    def rows(self) -> Iterator[Row]:
        for version, state in self._versions.values():
            yield _row("versions", version.id, version, state=state)
        kept: tuple[tuple[str, Sequence[Any]], ...] = (
            ("evidence", self._evidence),
            ("approvals", self._approvals),
            ("waivers", self._waivers),
        )
        for table, values in kept:
            yield from (_row(table, number, value) for number, value in enumerate(values, 1))
        yield from (_row("remarks", comment.id, comment) for comment in self._comments)
        yield from (_row("snapshots", sequence, snapshot) for sequence, snapshot in self._snapshots.items())

    def summed_rows(self) -> Mapping[str, Sequence[Row]]:
        return {}

    def row_counts(self) -> Mapping[str, int]:
        return Counter(row.table for row in self.rows())

    def audit_rows(self) -> Iterator[Row]:
        for event in self._events:
            columns = {"sequence": event.sequence, "at": _micros(event.at), "body": canonical(event).decode()}
            yield Row(table="audit", key=str(event.sequence), columns=columns)

    def heads(self) -> Mapping[str, str]:
        return dict(sorted(self._heads.items()))

    def head(self, name: str) -> str | None:
        return self._heads.get(name)

    def set_head(self, name: str, envelope: str) -> None:
        self._heads[name] = envelope

    def _note(self, table: str, key: object, value: Any, **more: Any) -> None:
        row = _row(table, key, value, **more)
        self._written[row.name] = digest_value(row.columns).hex

    def _row(self, id: Digest) -> tuple[Version, State]:
        if id not in self._versions:
            raise Missing(f"no version {id.short}", code="NO_VERSION")
        return self._versions[id]


def _row(table: str, key: object, value: Any, **more: Any) -> Row:
    return Row(table=table, key=str(key), columns={"id": str(key), "body": canonical(value).decode(), **more})


def _micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
