"""Wires what every command may need: stores, keys, people, releases, and the use cases over them alone.

Four containers, each over the one before, so that a process pays only for what it does: `Container` imports no numeric
library, `Reporting` what writes reports, `Workbench` what works on tables and models, `ControlPlane` the steward and the pages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from modelmark.app.configuration import configured
from modelmark.app.effects import Announce, FinishBehind, FollowRoutes, Marks, SignJournal
from modelmark.app.usecases.alerting.alert_precision import AlertPrecision
from modelmark.app.usecases.alerting.read_deliveries import ReadDeliveries
from modelmark.app.usecases.alerting.send_again import SendAgain
from modelmark.app.usecases.approve import Approve
from modelmark.app.usecases.audit_at import AuditAt
from modelmark.app.usecases.describe_version import DescribeVersion
from modelmark.app.usecases.fetch import Fetch
from modelmark.app.usecases.find_version import FindVersion, nowhere
from modelmark.app.usecases.finish_acts import FinishActs
from modelmark.app.usecases.handle_alert import HandleAlert
from modelmark.app.usecases.make_checkpoint import MakeCheckpoint
from modelmark.app.usecases.model_card import ModelCard
from modelmark.app.usecases.read_contract import ReadContract
from modelmark.app.usecases.release import Release
from modelmark.app.usecases.release_notes import ReleaseNotes
from modelmark.app.usecases.rollback import Rollback
from modelmark.app.usecases.rollouts.move_rollout import MoveRollout
from modelmark.app.usecases.scorecards import Scorecards
from modelmark.app.usecases.verify import Verify
from modelmark.contract.catalogue import required_gates
from modelmark.domain.alerts.webhooks import Webhook, read_webhooks
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, NotYet
from modelmark.domain.people import Principal
from modelmark.domain.ports import ArtifactStore, Clock, Ledger, MonitoringStore
from modelmark.domain.release import Approval
from modelmark.domain.routes import Snapshot
from modelmark.domain.settings import Settings
from modelmark.domain.telemetry import switch_off
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.governance.audit import Audit
from modelmark.governance.checkpoints import Checkpoints
from modelmark.governance.endpoint_keys import EndpointKeys
from modelmark.governance.experiments import Experiments
from modelmark.governance.people import People
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.releases import Effects, Releases
from modelmark.governance.rollouts import Rollouts
from modelmark.governance.signatures import Signatures, signatures
from modelmark.governance.signoff import SignOff
from modelmark.governance.steady_clock import SteadyClock
from modelmark.governance.watching import Watching
from modelmark.journal.tables.take_over import take_over
from modelmark.registry.mlflow import Tracking
from modelmark.seal import keys
from modelmark.seal.keys import Signer, Verifier
from modelmark.seal.mark import approvals_in
from modelmark.seal.snapshot import write_snapshot
from modelmark.storage.account_store import SqlAccountStore
from modelmark.storage.artifacts import FolderArtifactStore
from modelmark.storage.database import HEADS, Database, sqlite_url
from modelmark.storage.ledger import SqlLedger
from modelmark.storage.monitoring_store import SqlMonitoringStore
from modelmark.storage.sums import SignedSums


def _require_where_expected(workspace: Workspace) -> None:
    """Raises Missing (DATABASE_GONE) where what lies beside it was written by a workspace that had one: an empty one in its
    place would say that nothing ever happened."""
    if workspace.receipts.exists() and not workspace.database.exists():
        raise Missing(
            f"the database {workspace.database} is gone, though a journal lies here that was written with it",
            code="DATABASE_GONE", field="--workspace",
            hint="put it back from a backup; to begin anew, take another --workspace",
        )  # fmt: skip


def utc_now() -> datetime:
    return datetime.now(UTC)


class Container:
    """One installation. Attributes are built on first use, so a command pays only for what it touches."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock = utc_now,
        *,
        read_only: bool = False,
        meant: Callable[[], str | None] = nowhere,
    ) -> None:
        """read_only: whoever only looks writes nothing, not even the modes of files. meant: as `FindVersion` takes it."""
        self.settings = settings
        self._meant = meant
        self.clock = clock
        self.workspace: Workspace = settings.place
        self._read_only = read_only
        if not read_only:
            _close_to_others(self.workspace.root)

    @classmethod
    def open(
        cls, environ: Mapping[str, str] = os.environ, *, clock: Clock = utc_now, read_only: bool = False, **given: Any
    ) -> Self:
        """given: settings, which come before those of `environ`. Raises Rejected for a setting that cannot be."""
        switch_off()
        return cls(configured(environ, **given), clock, read_only=read_only)

    # Stores and keys.

    @cached_property
    def database(self) -> Database:
        url = self.settings.database or sqlite_url(self.workspace.database)
        if self.settings.database is None:
            _require_where_expected(self.workspace)
        try:
            return Database(url, read_only=self._read_only)
        except NotYet as error:
            if error.code != "DATABASE_OLD" or not os.access(self.workspace.root, os.W_OK):
                raise
            return Database(url)  # an earlier release's is taken over by the first who may

    @cached_property
    def ledger(self) -> Ledger:
        ledger = SqlLedger(self.database)
        if self.database.upgraded_from is not None and self.database.upgraded_from < HEADS:
            self._take_over(ledger)  # later ones have heads, and to sign again would forgive whoever took them away
        return ledger

    def _take_over(self, ledger: Ledger) -> None:
        """Seal what an earlier release left without signed heads. Once: afterwards a missing head is a fault."""
        files = {f"{id}/{name}": digest for id in self.artifacts.ids() for name, digest in self._digests(id).items()}
        if Audit(ledger, self.clock, lambda: self.signer).take_over(files) is not None:
            take_over(self.workspace, SignJournal(ledger=ledger, signer=lambda: self.signer))
            with self.database.writing() as connection:
                SignedSums(lambda: self.signer).take_over(connection)

    def _digests(self, folder: str) -> Mapping[str, str]:
        try:
            return self.artifacts.digests(Digest(f"sha256:{folder}"))
        except ValueError:
            return {}  # somebody's own folder among the versions: verification names it

    @cached_property
    def monitoring_store(self) -> MonitoringStore:
        return SqlMonitoringStore(self.database, SignedSums(lambda: self.signer))

    @cached_property
    def artifacts(self) -> ArtifactStore:
        return FolderArtifactStore(self.workspace)

    @cached_property
    def tracking(self) -> Tracking:
        return Tracking(workspace=self.workspace, uri=os.environ.get("MLFLOW_TRACKING_URI"))

    @cached_property
    def signer(self) -> Signer:
        return keys.signer(self.workspace.keys)

    @property
    def verifier(self) -> Verifier:
        return keys.verifier(self.workspace.keys)

    # Governance.

    @cached_property
    def steady_clock(self) -> SteadyClock:
        return SteadyClock(self.clock, self.ledger)

    @cached_property
    def audit(self) -> Audit:
        return Audit(self.ledger, self.steady_clock, lambda: self.signer)

    @cached_property
    def witness(self) -> SignJournal:
        return SignJournal(ledger=self.ledger, signer=lambda: self.signer)

    @cached_property
    def people(self) -> People:
        return People(SqlAccountStore(self.database), self.audit, self.steady_clock)

    @cached_property
    def principal(self) -> Principal | None:
        """Whose key the environment holds; None for the workspace's owner. Raises NotPermitted for a key of nobody."""
        return self.people.by_key(self.settings.key) if self.settings.key else None

    @property
    def actor(self) -> str:
        """Who acts at the command line, for the audit."""
        return self.principal.login if self.principal else self.settings.actor

    @cached_property
    def announce(self) -> Announce | None:
        """None where nobody is to be told."""
        return Announce(monitoring_store=self.monitoring_store, clock=self.clock) if self.settings.notify else None

    @cached_property
    def effects(self) -> Effects:
        marks = Marks(artifacts=self.artifacts, contract_of=self.contract_of, signer=lambda: self.signer)
        return Effects(
            issue_mark=marks.issue,
            keep_mark=marks.keep,
            publish=self._publish,
            announce=self.announce or _nobody,
            digests=self._files_of,
            marked=self._marked,
        )

    def _marked(self, version: Version) -> tuple[Approval, ...]:
        return approvals_in(self.artifacts.folder(version.id), self.verifier, expected=version.id)

    def _files_of(self, version: Version) -> dict[str, str]:
        return {f"{version.id.hex}/{name}": digest for name, digest in self.artifacts.digests(version.id).items()}

    @cached_property
    def sign_off(self) -> SignOff:
        return SignOff(
            people=self.people,
            clock=self.steady_clock,
            environment=self.settings.environment,
            signer=lambda: self.signer,
            verifier=lambda: self.verifier,
        )

    @cached_property
    def releases(self) -> Releases:
        return Releases(
            self.ledger,
            self.audit,
            self.steady_clock,
            contract_of=self.contract_of,
            required=required_gates,
            effects=self.effects,
            sign_off=self.sign_off,
        )

    @cached_property
    def endpoint_keys(self) -> EndpointKeys:
        return EndpointKeys(
            routes=self.releases.routes,
            audit=self.audit,
            clock=self.steady_clock,
            people=self.people,
            publish=self._publish,
            owner=self.settings.actor,
        )

    @cached_property
    def routes_in_mlflow(self) -> FollowRoutes:
        return FollowRoutes(
            ledger=self.ledger, artifacts=self.artifacts, tracking=self.tracking, route=self.releases.route
        )

    # Use cases.

    @cached_property
    def find(self) -> FindVersion:
        return FindVersion(ledger=self.ledger, meant=self._meant)

    @cached_property
    def contract_of(self) -> ReadContract:
        return ReadContract(artifacts=self.artifacts)

    @cached_property
    def fetch(self) -> Fetch:
        return Fetch(artifacts=self.artifacts, tracking=self.tracking)

    @cached_property
    def release(self) -> Release:
        return Release(
            releases=self.releases,
            notes=self.notes,
            announce=self.announce,
            behind=self._behind,
            catch_up=self.catch_up,
            owner=self.settings.actor,
        )

    @cached_property
    def approve(self) -> Approve:
        return Approve(releases=self.releases, owner=self.settings.actor)

    @cached_property
    def rollback(self) -> Rollback:
        return Rollback(
            releases=self.releases,
            announce=self.announce or _nobody,
            behind=self._behind,
            catch_up=self.catch_up,
            owner=self.settings.actor,
        )

    @cached_property
    def rollouts(self) -> Rollouts:
        return Rollouts(
            ledger=self.ledger,
            audit=self.audit,
            clock=self.steady_clock,
            releases=self.releases,
            effects=self.effects,
            people=self.people,
            contract_of=self.contract_of,
        )

    @cached_property
    def experiments(self) -> Experiments:
        return Experiments(
            ledger=self.ledger,
            audit=self.audit,
            clock=self.steady_clock,
            releases=self.releases,
            rollouts=self.rollouts,
            effects=self.effects,
            people=self.people,
        )

    @cached_property
    def move_rollout(self) -> MoveRollout:
        return MoveRollout(
            rollouts=self.rollouts,
            notes=self.notes,
            announce=self.announce,
            behind=self._behind,
            catch_up=self.catch_up,
            owner=self.settings.actor,
        )

    @cached_property
    def checkpoint(self) -> MakeCheckpoint:
        return MakeCheckpoint(
            workspace=self.workspace,
            checkpoints=Checkpoints(ledger=self.ledger, clock=self.clock, signer=lambda: self.signer),
            witness=self.witness,
            target=self.settings.checkpoint_to,
        )

    @cached_property
    def finish(self) -> FinishActs:
        return FinishActs(
            workspace=self.workspace,
            ledger=self.ledger,
            monitoring_store=self.monitoring_store,
            checkpoint=self.checkpoint,
            follow=self.routes_in_mlflow,
        )

    @cached_property
    def handle_alert(self) -> HandleAlert:
        return HandleAlert(
            monitoring_store=self.monitoring_store,
            audit=self.audit,
            people=self.people,
            clock=self.steady_clock,
            owner=self.settings.actor,
        )

    @cached_property
    def watching(self) -> Watching:
        return Watching(ledger=self.ledger, audit=self.audit, people=self.people, owner=self.settings.actor)

    @cached_property
    def webhooks(self) -> tuple[Webhook, ...]:
        """Raises Rejected for an address that is none."""
        return read_webhooks(self.settings.webhooks)

    @cached_property
    def deliveries(self) -> ReadDeliveries:
        return ReadDeliveries(monitoring_store=self.monitoring_store, hooks=lambda: self.webhooks)

    @cached_property
    def send_again(self) -> SendAgain:
        return SendAgain(
            monitoring_store=self.monitoring_store, audit=self.audit, people=self.people, clock=self.steady_clock,
            owner=self.settings.actor,
        )  # fmt: skip

    @cached_property
    def alert_precision(self) -> AlertPrecision:
        return AlertPrecision(monitoring_store=self.monitoring_store, clock=self.clock)

    @cached_property
    def verify(self) -> Verify:
        return Verify(
            workspace=self.workspace,
            ledger=self.ledger,
            artifacts=self.artifacts,
            verifier=lambda: self.verifier,
            pending=lambda: self.finish.pending(),
        )

    @cached_property
    def audit_at(self) -> AuditAt:
        return AuditAt(ledger=self.ledger)

    @cached_property
    def describe(self) -> DescribeVersion:
        return DescribeVersion(ledger=self.ledger, artifacts=self.artifacts, contract_of=self.contract_of)

    @cached_property
    def notes(self) -> ReleaseNotes:
        return ReleaseNotes(releases=self.releases, describe=self.describe)

    @cached_property
    def card(self) -> ModelCard:
        return ModelCard(
            status=self.releases.status, describe=self.describe, signatures=self.signatures, clock=self.clock
        )

    @cached_property
    def scorecards(self) -> Scorecards:
        return Scorecards(
            ledger=self.ledger,
            monitoring_store=self.monitoring_store,
            status=self.releases.status,
            describe=self.describe,
            signatures=self.signatures,
            clock=self.clock,
        )

    def signatures(self, status: ReleaseStatus) -> Signatures:
        """Who says yes to a version, for people to read."""
        return signatures(status, self.artifacts, lambda: self.verifier)

    def _publish(self, snapshot: Snapshot) -> None:
        if not self.workspace.root.is_dir():  # moved under what runs: to make another would hide it
            raise Missing(f"there is no workspace {self.workspace.root}", code="NO_WORKSPACE", field="--workspace")
        write_snapshot(self.workspace.snapshot, snapshot, self.signer)

    def catch_up(self) -> None:
        """Write what follows from the ledger and was cut short: the published snapshot, the newest checkpoint's file."""
        self.releases.republish()
        self.checkpoint.catch_up()

    def _behind(self) -> None:
        """After an act. Where no process can be started, the steward finishes it, or the next act."""
        with suppress(OSError):
            FinishBehind(workspace=self.workspace)()


def _close_to_others(root: Path) -> None:
    """What lies in a workspace are people's data and the key: the folder is its owner's alone, whatever the umask was."""
    if root.is_dir() and root.stat().st_mode & 0o077 and root.stat().st_uid == os.getuid():
        root.chmod(0o700)


def _nobody(*_: object) -> None:
    """Where nobody is to be told, nothing is kept."""
