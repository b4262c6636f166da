"""Wires what works on tables and models: registering, checking, recalibrating, labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from modelmark.app.reporting import Reporting
from modelmark.app.usecases.alerting.try_webhooks import TryWebhooks
from modelmark.app.usecases.check_version import CheckVersion
from modelmark.app.usecases.experiments.read_experiment import ReadExperiment
from modelmark.app.usecases.experiments.start_experiment import StartExperiment
from modelmark.app.usecases.experiments.stop_experiment import StopExperiment
from modelmark.app.usecases.export_release import ExportRelease
from modelmark.app.usecases.import_labels import ImportLabels
from modelmark.app.usecases.monitored_versions import MonitoredVersions
from modelmark.app.usecases.open_case import OpenCase
from modelmark.app.usecases.predictions.backfill import Backfill
from modelmark.app.usecases.predictions.explain_prediction import ExplainPrediction
from modelmark.app.usecases.predictions.predict_table import PredictTable
from modelmark.app.usecases.predictions.replay import Replay
from modelmark.app.usecases.predictions.rows_behind import RowsBehind
from modelmark.app.usecases.recalibrate import Recalibrate
from modelmark.app.usecases.register import Register
from modelmark.app.usecases.retraining.reproduce import Reproduce
from modelmark.app.usecases.retraining.retrain import Retrain
from modelmark.app.usecases.rollouts.read_rollouts import ReadRollouts
from modelmark.app.usecases.salvage_journal import SalvageJournal
from modelmark.contract.after_release.experiment_file import require_possible
from modelmark.domain.alerts.webhooks import read_networks
from modelmark.domain.contract import Contract
from modelmark.domain.evidence import Evidence, Verdict
from modelmark.domain.people import Principal
from modelmark.domain.progress import Progress
from modelmark.domain.rollouts.report import RolloutAct
from modelmark.domain.version import Version
from modelmark.notify.webhooks import WebhookSender
from modelmark.registry.convert import Conversion, convert
from modelmark.registry.sandbox import Limits
from modelmark.registry.user_code.suite import ChildSuites
from modelmark.registry.user_code.training import ChildTraining
from modelmark.serving.explain.pool import Explanations
from modelmark.serving.staging import LocalStaging
from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.monitoring_store import SqlMonitoringStore

if TYPE_CHECKING:
    import pandas as pd


class Workbench(Reporting):
    """A container that also imports gates, registry and the numeric libraries under them."""

    @cached_property
    def register(self) -> Register:
        return Register(
            ledger=self.ledger,
            artifacts=self.artifacts,
            tracking=self.tracking,
            people=self.people,
            releases=self.releases,
            clock=self.clock,
            remember=self._remember,
            owner=self.settings.actor,
        )

    def _remember(self, model: str, path: Path) -> None:
        """Where its contract is, for whoever trains it again without being told."""
        self.monitoring_store.set_checkpoint(f"contract/{model}", {"path": str(path.resolve())})

    @cached_property
    def open_case(self) -> OpenCase:
        return OpenCase(
            workspace=self.workspace,
            ledger=self.ledger,
            artifacts=self.artifacts,
            contract_of=self.contract_of,
            champion=self.releases.champion,
            verifier=lambda: self.verifier,
            staging=LocalStaging(),
            suites=ChildSuites(),
            sources=self.tracking,
            clock=self.clock,
        )

    @cached_property
    def check(self) -> CheckVersion:
        return CheckVersion(
            ledger=self.ledger,
            releases=self.releases,
            contract_of=self.contract_of,
            open_case=self.open_case,
            report=self.write_report,
            owner=self.settings.actor,
        )

    @cached_property
    def recalibrate(self) -> Recalibrate:
        return Recalibrate(open_case=self.open_case)

    @cached_property
    def retrain(self) -> Retrain:
        registered = replace(self.register, remember=_forget)  # what people wrote stays where it begins

        def register(path: Path, progress: Progress, by: Principal | None) -> tuple[Version, bool]:
            return registered(path, progress=progress, by=by)

        def check(
            version: Version, path: Path, progress: Progress, by: Principal | None
        ) -> tuple[tuple[Evidence, ...], Mapping[str, Verdict]]:
            found = self.check(version, path, progress=progress, by=by)
            return found.evidence, found.status.gates

        def consent(version: Version, code: str, by: Principal | None) -> str:
            actor = by.login if by else self.settings.actor
            found = self.releases.consent(version, code=code, actor=actor, by=by)
            said = f"agreed beforehand: {', '.join(approval.name for approval in found.approvals)}"
            if self.contract_of(version).rollout is None:
                return f"{said}; the contract plans no rollout, so it waits for whoever releases it"
            self.move_rollout(RolloutAct.START, version, by=by)
            return f"{said}; its rollout began"

        return Retrain(
            consent=consent,
            workspace=self.workspace,
            champion=self.releases.champion,
            register=register,
            check=check,
            trainer=ChildTraining(),
            audit=self.audit,
            people=self.people,
            clock=self.clock,
            owner=self.settings.actor,
        )

    @cached_property
    def reproduce(self) -> Reproduce:
        return Reproduce(
            workspace=self.workspace,
            contract_of=self.contract_of,
            open_case=self.open_case,
            convert=_converted,
            trainer=ChildTraining(),
        )

    @cached_property
    def replay(self) -> Replay:
        return Replay(
            workspace=self.workspace, ledger=self.ledger, artifacts=self.artifacts, verifier=lambda: self.verifier
        )

    @cached_property
    def monitored(self) -> MonitoredVersions:
        return MonitoredVersions(
            workspace=self.workspace,
            ledger=self.ledger,
            artifacts=self.artifacts,
            contract_of=self.contract_of,
            settings=self.watching.settings,
        )

    @cached_property
    def backfill(self) -> Backfill:
        return Backfill(artifacts=self.artifacts, watched=self.monitored.of, store=_store_at)

    @cached_property
    def webhook_sender(self) -> WebhookSender:
        return WebhookSender(read_networks(self.settings.webhook_allow))

    @cached_property
    def try_webhooks(self) -> TryWebhooks:
        return TryWebhooks(
            hooks=self.webhooks, send=self.webhook_sender.send, clock=self.clock, environment=self.settings.environment
        )

    @cached_property
    def predict(self) -> PredictTable:
        return PredictTable(workspace=self.workspace, verifier=lambda: self.verifier)

    @cached_property
    def explain(self) -> ExplainPrediction:
        return ExplainPrediction(
            workspace=self.workspace,
            artifacts=self.artifacts,
            verifier=lambda: self.verifier,
            pool=Explanations(self.workspace.root, lambda: self.verifier),
        )

    @cached_property
    def export(self) -> ExportRelease:
        return ExportRelease(workspace=self.workspace, artifacts=self.artifacts, verifier=lambda: self.verifier)

    @cached_property
    def rows_behind(self) -> RowsBehind:
        return RowsBehind(workspace=self.workspace, ledger=self.ledger, contract_of=self.contract_of)

    @cached_property
    def read_rollouts(self) -> ReadRollouts:
        return ReadRollouts(
            workspace=self.workspace,
            ledger=self.ledger,
            rollouts=self.rollouts,
            contract_of=self.contract_of,
            clock=self.clock,
        )

    @cached_property
    def read_experiment(self) -> ReadExperiment:
        return ReadExperiment(
            workspace=self.workspace,
            ledger=self.ledger,
            monitoring_store=self.monitoring_store,
            contract_of=self.contract_of,
            clock=self.clock,
        )

    @cached_property
    def start_experiment(self) -> StartExperiment:
        return StartExperiment(
            experiments=self.experiments,
            require_possible=lambda plan, control: require_possible(plan, self.contract_of(control)),
            announce=self.announce,
            behind=self._behind,
            catch_up=self.catch_up,
            owner=self.settings.actor,
        )

    @cached_property
    def stop_experiment(self) -> StopExperiment:
        return StopExperiment(
            experiments=self.experiments,
            read=self.read_experiment,
            announce=self.announce,
            behind=self._behind,
            catch_up=self.catch_up,
            owner=self.settings.actor,
        )

    @cached_property
    def salvage(self) -> SalvageJournal:
        return SalvageJournal(workspace=self.workspace, witness=lambda: self.witness)

    @cached_property
    def label(self) -> ImportLabels:
        return ImportLabels(
            workspace=self.workspace,
            champion=self.releases.champion,
            contract_of=self.contract_of,
            clock=self.clock,
        )


def _forget(model: str, path: Path) -> None:
    """Where nothing is to be remembered."""


def _converted(path: Path, contract: Contract, holdout: pd.DataFrame, train: pd.DataFrame) -> Conversion:
    return convert(path, contract, holdout, train=train, limits=Limits(), progress=lambda _: None)


def _store_at(place: Path) -> SqlMonitoringStore:
    """One of its own, that goes with its folder."""
    return SqlMonitoringStore(Database(sqlite_url(place)))
