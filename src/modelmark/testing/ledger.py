"""An in-memory twin of `domain.ports.Ledger`, for tests that do not need SQL."""

from __future__ import annotations

from collections.abc import Sequence

from modelmark.domain.audit import Event
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Conflict, Missing
from modelmark.domain.evidence import Evidence
from modelmark.domain.release import Approval, Comment, State, Waiver
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
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

    def add_version(self, version: Version) -> None:
        if version.id in self._versions:
            raise Conflict("somebody else wrote this versions row first", code="WRITTEN_ALREADY")
        self._versions[version.id] = (version, State.REGISTERED)

    def version(self, id: Digest) -> Version:
        return self._row(id)[0]

    def versions(self, model: str | None = None) -> Sequence[Version]:
        found = [version for version, _ in self._versions.values() if model in (None, version.model)]
        return sorted(found, key=lambda v: (v.model, v.number))

    def state(self, id: Digest) -> State:
        return self._row(id)[1]

    def set_state(self, id: Digest, state: State, *, expected: State) -> None:
        version, found = self._row(id)
        if found is not expected:
            raise Conflict(f"version {id.short} is no longer {expected}", code="STATE_CHANGED")
        self._versions[id] = (version, state)

    def add_evidence(self, evidence: Evidence) -> None:
        self._evidence.append(evidence)

    def evidence(self, id: Digest) -> Sequence[Evidence]:
        return [item for item in self._evidence if item.candidate == id]

    def add_approval(self, approval: Approval) -> None:
        if approval.nonce and any(known.nonce == approval.nonce for known in self._approvals):
            raise Conflict("this ticket was used before: an approval works once", code="NONCE_USED")
        self._approvals.append(approval)

    def approvals(self, id: Digest) -> Sequence[Approval]:
        return [item for item in self._approvals if item.version == id]

    def add_waiver(self, waiver: Waiver) -> None:
        self._waivers.append(waiver)

    def waivers(self, id: Digest) -> Sequence[Waiver]:
        return [item for item in self._waivers if item.version == id]

    def add_comment(self, comment: Comment) -> None:
        if any(known.id == comment.id for known in self._comments):
            raise Conflict("somebody else wrote this remarks row first", code="WRITTEN_ALREADY")
        self._comments.append(comment)

    def comments(self, id: Digest) -> Sequence[Comment]:
        return sorted((item for item in self._comments if item.version == id), key=lambda r: (r.at, r.id))

    def set_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.sequence in self._snapshots:
            raise Conflict("somebody else wrote this snapshots row first", code="WRITTEN_ALREADY")
        self._snapshots[snapshot.sequence] = snapshot

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

    def _row(self, id: Digest) -> tuple[Version, State]:
        if id not in self._versions:
            raise Missing(f"no version {id.short}", code="NO_VERSION")
        return self._versions[id]
