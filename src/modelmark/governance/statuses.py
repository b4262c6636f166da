"""How versions stand, many of them at the price of one: what all of them share is read once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.audit import Act
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing, ModelmarkError, Tampered
from modelmark.domain.evidence import gate_verdicts
from modelmark.domain.ports import Ledger
from modelmark.domain.release import SERVING, State, open_requests
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version
from modelmark.domain.version_record import VersionRecord
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.signoff import Now, SignOff
from modelmark.seal.mark import evidence_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What is the same for every version. at: now. ended: when each was last rolled back. named: there are accounts."""

    at: datetime
    snapshot: Snapshot | None
    ended: Mapping[str, datetime]
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Statuses:
    """Reads a ledger; nothing here changes it."""

    ledger: Ledger
    contract_of: Callable[[Version], Contract]
    required: Callable[[Contract], Collection[str]]
    sign_off: SignOff

    def of(self, version: Version) -> ReleaseStatus:
        """Raises Missing or Tampered where its files are gone or changed."""
        record = self._record(version)
        return self._status(version, record, self._shared([record]))

    def of_all(self, versions: Iterable[Version]) -> tuple[list[ReleaseStatus], list[ModelmarkError]]:
        """How each stands, and what is wrong with those whose files are gone or changed: they hide none of the others."""
        asked = list(versions)
        records = self.ledger.records([version.id for version in asked])
        shared = self._shared(records.values())
        found: list[ReleaseStatus] = []
        lost: list[ModelmarkError] = []
        for version in asked:
            try:
                found.append(self._status(version, records[version.id], shared))
            except (Missing, Tampered) as error:
                lost.append(error)
        return found, lost

    def now(self, version: Version) -> Now:
        """What an approval of it must be about to count."""
        record = self._record(version)
        return _now(record, self._shared([record]))

    def _record(self, version: Version) -> VersionRecord:
        return self.ledger.records([version.id])[version.id]

    def _shared(self, records: Iterable[VersionRecord]) -> _Shared:
        back = any(record.state is State.ROLLED_BACK for record in records)
        events = self.ledger.events() if back else ()
        ended: dict[str, datetime] = {}
        for event in events:
            if event.act in (Act.ROLLED_BACK, Act.WITHDRAWN):
                ended[event.subject] = max(event.at, ended.get(event.subject, event.at))
        return _Shared(
            at=self.sign_off.clock(), snapshot=self.ledger.snapshot(), ended=ended, named=self.sign_off.named()
        )

    def _status(self, version: Version, record: VersionRecord, shared: _Shared) -> ReleaseStatus:
        contract, evidence, named = self.contract_of(version), record.evidence, shared.named
        serving = record.state in SERVING
        approvals = self.sign_off.valid_approvals(record.approvals, _now(record, shared), serving=serving, named=named)
        waived = self.sign_off.valid_waivers(record.waivers, evidence, at=shared.at, serving=serving, named=named)
        signed = {(a.role, a.name) for a in approvals}
        gates = gate_verdicts(evidence, candidate=version.id, required=self.required(contract))
        return ReleaseStatus(
            version=version,
            state=record.state,
            gates=gates,
            not_run=frozenset(gates) - {item.gate for item in evidence},
            waived=waived,
            approvals=approvals,
            missing=tuple(p for p in contract.signers() if (p.role, p.name) not in signed),
            unfilled=contract.unfilled(),
            requests=open_requests(record.comments),
        )


def _now(record: VersionRecord, shared: _Shared) -> Now:
    route = shared.snapshot.route(record.version.model) if shared.snapshot else None
    return Now(
        evidence=evidence_digest(record.evidence),
        champion=route.champion.version if route else None,
        since=shared.ended.get(record.version.id) if record.state is State.ROLLED_BACK else None,
    )
