"""What monitors need of the versions that serve, and of those that have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.evidence import Check
from modelmark.domain.finding import Outcome
from modelmark.domain.ports import ArtifactStore, Ledger
from modelmark.domain.routes import Arm
from modelmark.domain.version import REFERENCE, Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.cohorts import last_answers
from modelmark.stats.bootstrap import Interval
from modelmark.steward.expiries import Expiry
from modelmark.steward.job import JobFault
from modelmark.steward.observations import label_delay
from modelmark.steward.profiler import MonitoredVersion

#: How much later than usual labels are waited for; a day, since many come by night.
LATE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitoredVersions:
    """settings: of a model's monitors, where they are others than the contract's.

    A version's own part never changes, so it is read once and kept; what was agreed of it until a day may, each time."""

    workspace: Workspace
    ledger: Ledger
    artifacts: ArtifactStore
    contract_of: Callable[[Version], Contract]
    settings: Callable[[str], Monitors | None]
    _known: dict[Digest, MonitoredVersion] = field(default_factory=dict)

    def __call__(self) -> list[MonitoredVersion]:
        """Every version that serves now."""
        return [
            replace(self.of(arm.version), arm=arm.name, terms=tuple(self._terms(arm.version)))
            for arm in self._serving()
        ]

    def of(self, id: Digest) -> MonitoredVersion:
        """A version, whether it serves or not, watched as is set now. Raises Missing."""
        found = self._read_once(id)
        changed = self.settings(found.model)
        return found if changed is None else replace(found, contract=replace(found.contract, monitors=changed))

    def left(self, now: datetime) -> list[MonitoredVersion | JobFault]:
        """Every version that serves no more and whose labels may still come: `LATE` after they usually have for the last of
        its answers; a fault in place of one whose files cannot be read."""
        serving = {arm.version for arm in self._serving()}
        found: list[MonitoredVersion | JobFault] = []
        for model in sorted({version.model for version in self.ledger.versions()}):
            answered = last_answers(self.workspace, model)
            for version in self.ledger.versions(model):
                last = answered.get(version.id.hex)
                if last is None or version.id in serving:
                    continue
                try:
                    if now - last < label_delay(self.contract_of(version)) + LATE:
                        found.append(replace(self.of(version.id), left=True))
                except ModelmarkError as error:
                    found.append(_unreadable(version, error))
        return found

    def _serving(self) -> list[Arm]:
        """Those that answer somebody: a shadow is judged by its rollout."""
        snapshot = self.ledger.snapshot()
        arms = [arm for route in (snapshot.routes if snapshot else ()) for arm in route.answering]
        return list({arm.version: arm for arm in reversed(arms)}.values())[
            ::-1
        ]  # an experiment's control is the champion

    def _read_once(self, id: Digest) -> MonitoredVersion:
        if id not in self._known:
            self._known[id] = self._read(self.ledger.version(id))
        return self._known[id]

    def _read(self, version: Version) -> MonitoredVersion:
        contract = self.contract_of(version)
        return MonitoredVersion(
            model=version.model,
            version=version.id,
            contract=contract,
            reference=self.artifacts.read(version.id, REFERENCE),
            baseline=self._baseline(version),
            label=version.label,
        )

    def _terms(self, id: Digest) -> Iterator[Expiry]:
        """How long the version and its waivers were agreed to hold. Of a gate that was waived again the last day counts."""
        retraining, version = self._read_once(id).contract.retraining, self.ledger.version(id)
        if retraining.max_age_days is not None:
            days = f"{retraining.max_age_days:g}"
            old = f"{version.label} is more than {days} days old, the most its contract allows"
            sentence = f"{old}; {retraining.owner} trains again."
            ends_at = version.created_at + timedelta(days=retraining.max_age_days)
            yield Expiry(subject="age", ends_at=ends_at, sentence=sentence)
        last = {w.gate: w for w in sorted(self.ledger.waivers(id), key=lambda waiver: waiver.expires_at)}
        for waiver in last.values():
            sentence = f"The waiver of the gate {waiver.gate} for {version.label} by {waiver.name} has ended."
            yield Expiry(subject=f"waiver of {waiver.gate}", ends_at=waiver.expires_at, sentence=sentence)

    def _baseline(self, version: Version) -> Interval | None:
        """The objective on the holdout, as the holdout gate measured it."""
        said = (item.check("objective") for item in self.ledger.evidence(version.id) if item.gate == "holdout")
        found = [check for check in said if check is not None and check.estimate is not None]
        return _interval(found[-1]) if found else None


def _unreadable(version: Version, error: ModelmarkError) -> JobFault:
    sentence = f"{version.label} of {version.model} has left and cannot be judged: {error.message}"
    return JobFault(subject=f"departed {version.id.short}", sentence=sentence, outcome=Outcome.CANNOT_TELL)


def _interval(check: Check) -> Interval:
    """estimate alone, where its interval was not kept: it counts as known."""
    estimate = check.estimate or 0.0
    low, high = (estimate if end is None else end for end in (check.low, check.high))
    return Interval(estimate=estimate, low=low, high=high, n=check.n or 0, confidence=check.confidence or 0.95)
