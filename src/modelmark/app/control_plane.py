"""Wires what keeps running beside the endpoint: the steward and the pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property, partial

from modelmark.app.effects import FinishBehind, TrainBehind
from modelmark.app.usecases.monitored_versions import MonitoredVersions
from modelmark.app.usecases.retraining.due_retraining import DueRetraining
from modelmark.app.workbench import Workbench
from modelmark.domain.alerts.watching import watched_now
from modelmark.notify.apprise import AppriseNotifier
from modelmark.steward.jobs import builtin
from modelmark.steward.jobs.checkpoint import MakeCheckpoint
from modelmark.steward.jobs.finish_acts import FinishActs
from modelmark.steward.jobs.retrain import Retrain
from modelmark.steward.loop import Steward
from modelmark.steward.serving_versions import ServingVersions
from modelmark.storage.exports import check_target
from modelmark.web.actions import Actions
from modelmark.web.queries import Documents, Queries
from modelmark.web.server import Application, build


class ControlPlane(Workbench):
    """A container that also imports the steward and the web framework."""

    @cached_property
    def monitored(self) -> MonitoredVersions:
        return MonitoredVersions(
            workspace=self.workspace, ledger=self.ledger, artifacts=self.artifacts, contract_of=self.contract_of
        )

    def steward(self) -> Steward:
        """The control loop over everything that serves now."""
        notifier = AppriseNotifier(self.settings.notify) if self.settings.notify else None
        if notifier is not None:
            notifier.check()
        serving = ServingVersions(self.monitored, self.monitored.left)
        if self.settings.checkpoint_to is not None:
            check_target(self.settings.checkpoint_to)
        every = timedelta(minutes=self.settings.checkpoint_minutes)
        jobs = builtin(
            self.workspace,
            self.monitoring_store,
            serving,
            notifier,
            self.catch_up,
            witness=self.witness,
            checkpoint=MakeCheckpoint(make=self.checkpoint, interval=every),
            finish=FinishActs(
                due=self.finish.due, pending=self.finish.pending, start=FinishBehind(workspace=self.workspace)
            ),
            retrain=Retrain(
                due=self.due_retraining,
                begun=self.due_retraining.begun,
                start=TrainBehind(workspace=self.workspace),
                tell=self._tell_of_retraining,
            ),
        )
        lives = partial(watched_now, self.workspace)
        return Steward(jobs, serving, self.monitoring_store, self.clock, told=notifier is not None, lives=lives)

    @cached_property
    def due_retraining(self) -> DueRetraining:
        return DueRetraining(
            workspace=self.workspace,
            monitoring_store=self.monitoring_store,
            champions=self.releases.routes.champions,
            contract_of=self.contract_of,
        )

    def _tell_of_retraining(self, model: str, sentence: str, at: datetime) -> None:
        champion = self.releases.champion(model)
        if self.announce is not None and champion is not None:
            role = self.contract_of(champion).retraining.owner
            key = f"retrained-{model}-{at:%Y%m%dT%H%M%S}"[:255]
            self.announce(key, role, f"{model} was trained again", sentence)

    def _behind(self) -> None:
        """The steward's next step finishes it."""

    def dashboard(self) -> Application:
        return build(queries=self._queries(), actions=self._actions())

    def _queries(self) -> Queries:
        return Queries(
            workspace=self.workspace,
            artifacts=self.artifacts,
            ledger=self.ledger,
            monitoring_store=self.monitoring_store,
            releases=self.releases,
            contract_of=self.contract_of,
            clock=self.clock,
            environment=self.settings.environment,
            verifier=lambda: self.verifier,
            documents=Documents(
                describe=self.describe,
                signatures=self.signatures,
                card=self.card,
                notes=self.notes,
                scorecards=self.scorecards,
                audit_at=self.audit_at,
                replay=self.replay,
                explain=self.explain,
                rows_behind=self.rows_behind,
            ),
        )

    def _actions(self) -> Actions:
        return Actions(
            people=self.people,
            releases=self.releases,
            waive=self.waive,
            release=self.release,
            rollback=self.rollback,
            handle_alert=self.handle_alert,
        )
