"""What the pages are made from: the ports, the journal's tables and the versions' contracts, gathered once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from modelmark.domain.alerts.harm import by_harm
from modelmark.domain.alerts.recording import journal_fault
from modelmark.domain.alerts.watching import unwatched
from modelmark.domain.audit import RELEASES, Act, Event
from modelmark.domain.catalogue.monitor_settings import AlertResponse, response_to
from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.disk import disk_fault, free_bytes
from modelmark.domain.errors import Missing, ModelmarkError, no_alert
from modelmark.domain.finding import Alert, Finding
from modelmark.domain.people import Role
from modelmark.domain.ports import ArtifactStore, Clock, Ledger, MonitoringStore
from modelmark.domain.predictions.explanations import Method
from modelmark.domain.routes import ArmRole, Route
from modelmark.domain.stored import AUDIT_HEAD
from modelmark.domain.version import REFERENCE, Version
from modelmark.domain.workspace import Workspace
from modelmark.governance.audit import verify_audit
from modelmark.governance.card import Card
from modelmark.governance.difference import Side
from modelmark.governance.experiments import Experiments
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Releases
from modelmark.governance.rollouts import Rollouts
from modelmark.governance.score import Scorecard
from modelmark.governance.signatures import Signatures
from modelmark.journal.tables import query, timeline
from modelmark.journal.tables.label_sources import NONE as NO_SOURCES
from modelmark.journal.tables.label_sources import LabelSource, LabelSources, label_sources
from modelmark.journal.tables.rows import Cursor, RowFilter, rows
from modelmark.journal.tables.schema import input_columns
from modelmark.journal.tables.timeline import Timeline
from modelmark.seal.keys import Verifier
from modelmark.stats.profile import SCORE, Column, Counts, Reference, unpack
from modelmark.web.experiments.views import ExperimentView, experiment_views
from modelmark.web.periods import Period
from modelmark.web.rollouts import RolloutView, rollout_views
from modelmark.web.row_filters import version_of


class Notes(Protocol):
    def __call__(self, version: Version, audience: Role) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """What people read about a version. describe: it with what is known of it. They are use cases."""

    describe: Callable[[Version], Side]
    signatures: Callable[[ReleaseStatus], Signatures]
    card: Callable[[Version], Card]
    notes: Notes
    scorecards: Callable[[Version], tuple[Scorecard, Scorecard]]
    audit_at: Callable[[datetime], Any]
    replay: Callable[[str], Any]
    explain: Callable[[str, int, Method], Any]
    rows_behind: Callable[[Alert], Any]
    alert_precision: Callable[[], Any]
    deliveries: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """Reads only. Every page is a function of it and of now. environment: where releases go."""

    workspace: Workspace
    artifacts: ArtifactStore
    ledger: Ledger
    monitoring_store: MonitoringStore
    releases: Releases
    rollouts: Rollouts
    experiments: Experiments
    contract_of: Callable[[Version], Contract]
    clock: Clock
    environment: str
    documents: Documents
    verifier: Callable[[], Verifier]
    _sources: dict[str, LabelSources] = field(default_factory=dict)

    def verify_audit(self, events: Sequence[Event]) -> int:
        """The number of events, all linked up to the signed head. Raises Tampered naming the first bad one."""
        return verify_audit(events, self.ledger.head(AUDIT_HEAD), self.verifier()) if events else 0

    def disk(self) -> str | None:
        """Why nothing can be recorded, or soon cannot; looked at now, for a full disk may take no alert."""
        return disk_fault(free_bytes(self.workspace)) or journal_fault(self.workspace)

    def unwatched(self) -> str | None:
        """Whether the steward is missed; it cannot tell of its own end."""
        return unwatched(self.workspace)

    def models(self) -> list[str]:
        return sorted({version.model for version in self.ledger.versions()})

    def require_model(self, name: str) -> None:
        """Raises Missing."""
        if name not in self.models():
            raise Missing("there is no such model in this workspace", code="NO_MODEL", hint="start at the overview")

    def route(self, model: str) -> Route | None:
        return self.releases.route(model)

    def running_experiments(self, model: str) -> list[ExperimentView]:
        route = self.route(model)
        if route is None or not route.experiment:
            return []
        found = [one for one in self.experiments.all(model) if one.ended is None]
        return experiment_views(found, self.ledger, self.monitoring_store)

    def rollout_views(self, model: str | None = None) -> list[RolloutView]:
        return rollout_views(self.rollouts, self.monitoring_store, self.contract_of, model)

    def champion(self, model: str) -> Version | None:
        return self.releases.champion(model)

    def champions(self) -> dict[str, Version]:
        """Of every model that has one, by its name."""
        return self.releases.routes.champions()

    def versions(self, model: str | None = None) -> Sequence[Version]:
        return self.ledger.versions(model)

    def version(self, id: str) -> Version:
        return self.ledger.version(Digest(id if id.startswith("sha256:") else f"sha256:{id}"))

    def known(self, id: str) -> Version:
        """A version by the digest in an address. Raises Missing for anything else."""
        try:
            return self.version(id)
        except (ValueError, Missing):
            raise Missing("there is no such version", code="NO_VERSION", hint="the releases page lists them") from None

    def alerts(self, model: str | None = None, *, open_only: bool = True) -> Sequence[Alert]:
        """Open ones by harm; with those that are over, the newest first."""
        if not open_only:
            return self.monitoring_store.alerts(model=model)
        found = self.monitoring_store.alerts(open_only=True, limit=10_000)
        return by_harm(alert for alert in found if model in (None, alert.model) or alert.is_of_workspace)

    def response(self, alert: Alert) -> AlertResponse:
        """Who answers for it, as its version's contract says; nobody in particular where that is gone."""
        try:
            return response_to(self.contract_of(self.ledger.version(alert.version)).monitors, alert.monitor)
        except ModelmarkError:
            return AlertResponse()

    def alert(self, id: str) -> Alert:
        """One by the number in an address. Raises Missing (NO_ALERT)."""
        return self.monitoring_store.alert(alert_number(id))

    def last_look(self, version: Version, monitor: str) -> list[Finding]:
        """The findings of one monitor's last window of a version."""
        look = len(self.contract_of(version).inputs) + 2  # a finding of each input, and of scores or requests
        own = self.monitoring_store.findings(version.model, version=version.id, monitor=monitor, limit=look)
        end = max((finding.window.end for finding in own), default=None)
        return [finding for finding in own if finding.window.end == end]

    def retrained(self, version: Version) -> Event | None:
        """What the audit says of the retraining that made a version; None for one that people made."""
        about = (e for e in reversed(self.ledger.events()) if e.act == Act.RETRAINED and e.subject == version.id)
        return next(about, None)

    def performance(self, model: str, start: datetime) -> list[Finding]:
        """What the performance monitor saw since `start` of every version but a canary, oldest first."""
        route = self.route(model)
        aside = {arm.version for arm in route.arms if arm.role is not ArmRole.CHAMPION} if route else set()
        found = self.monitoring_store.findings(model, start=start, monitor="performance", limit=20_000)
        return [finding for finding in reversed(found) if finding.version not in aside]

    def acts(self, model: str, start: datetime) -> list[Event]:
        """Releases and rollbacks of a model since `start`, for the thin lines in charts."""
        wanted = {*RELEASES, Act.ROLLED_BACK}
        return [
            e for e in self.ledger.events() if e.act in wanted and e.details.get("model") == model and e.at >= start
        ]

    def reference(self, version: Version) -> Reference:
        """What training looked like, from the version's own file."""
        return Reference.from_bytes(self.artifacts.read(version.id, REFERENCE))

    def score_reference(self, version: Version) -> Column:
        """What scores looked like on the holdout."""
        return self.reference(version).columns[SCORE]

    def findings(self, version: Version, monitor: str, start: datetime) -> list[Finding]:
        """Of one monitor about one version, of windows that ended after `start`, oldest first."""
        found = self.monitoring_store.findings(
            version.model, version=version.id, monitor=monitor, start=start, limit=20_000
        )
        return list(reversed(found))

    def counts(self, version: Version, column: str, start: datetime, end: datetime) -> Counts | None:
        """What the steward counted of a column in [start, end), whole buckets; None where that is nothing."""
        kept = self.monitoring_store.profiles(version.model, version.id.hex, start, end, column=column)
        found = [unpack(counts) for _, _, counts in kept]
        return sum(found[1:], found[0]) if found else None

    def timeline(self, model: str, start: datetime, end: datetime, seconds: int, ends: tuple[float, float]) -> Timeline:
        return timeline.timeline(self.workspace, model, start, end, seconds=seconds, low=ends[0], high=ends[1])

    def refused(
        self, model: str, start: datetime, end: datetime, *, version: Version | None = None
    ) -> list[tuple[str, str, int]]:
        """(code, field, how many) of refused requests, most first. version: that would have answered."""
        whose = None if version is None else version.id.hex
        return [(*why, n) for why, n in query.refusals(self.workspace, model, start, end, version=whose).items()]

    def refusal_records(
        self, model: str, period: Period, *, code: str | None, field: str | None, version: str | None
    ) -> list[dict[str, Any]]:
        """Each count with the label of the version that would have answered, empty where that is not known. version: as an
        address says it. Raises Rejected (BAD_FILTER)."""
        labels = {known.id.hex: known.label for known in self.versions(model)}
        whose = None if version is None else version_of(version, self.versions(model))
        found = query.refusal_records(
            self.workspace, model, period.start, period.end, code=code, field=field, version=whose
        )
        return [{**one, "label": labels.get(one["version"] or "", "")} for one in found]

    def progress(self) -> int:
        """Grows whenever something is added to the journal's tables."""
        receipts = self.workspace.receipts
        return receipts.stat().st_size if receipts.exists() else 0

    def rows(self, model: str, wanted: RowFilter, *, limit: int, after: Cursor | None = None) -> Any:
        """A pyarrow table, newest rows first."""
        return rows(self.workspace, model, wanted, limit=limit, after=after)

    def input_columns(self, model: str) -> dict[str, str]:
        """The tables' column of each input, by name, as the version says that serves, or the newest one."""
        version = self.champion(model) or self.versions(model)[-1]
        contract = self.contract_of(version)
        return input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])

    def prediction(self, model: str, id: str) -> list[dict[str, Any]]:
        """Its rows with their labels. Raises Missing where the tables do not have it."""
        found = query.find(self.workspace, id, model=model)
        if not found:
            raise Missing(
                "there is no such prediction", code="NO_PREDICTION", field="id",
                hint="what was answered in the last seconds is found once its segment is sealed",
            )  # fmt: skip
        return found

    def label_sources(self, model: str) -> list[LabelSource]:
        """Sums that are kept: only what was added to the tables since is counted."""
        found = label_sources(self.workspace, model, self._sources.get(model, NO_SOURCES))
        self._sources[model] = found
        return found.latest()


def alert_number(text: str) -> int:
    """The number in an alert's address. Raises Missing (NO_ALERT) for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise no_alert(text[:40])
    return int(text)
