"""Wires what keeps running beside the endpoint: the steward and the pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

from modelmark.app.effects import FinishBehind, TrainBehind
from modelmark.app.usecases.alerting.drill_monitors import DrillMonitors
from modelmark.app.usecases.experiments.turn_experiments import TurnExperiments
from modelmark.app.usecases.retraining.due_retraining import DueRetraining
from modelmark.app.usecases.rollouts.guard_canaries import GuardCanaries
from modelmark.app.usecases.rollouts.turn_rollouts import TurnRollouts
from modelmark.app.workbench import Workbench
from modelmark.domain.alerts.watching import watched_now
from modelmark.domain.endpoint.arms_now import arms_now
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import RolloutAct, RolloutReport
from modelmark.domain.version import Version
from modelmark.notify.apprise import AppriseNotifier
from modelmark.serving.models import load_marked
from modelmark.steward.job import Job
from modelmark.steward.jobs import builtin, experiment, rollout
from modelmark.steward.jobs.call_webhooks import CallWebhooks
from modelmark.steward.jobs.checkpoint import MakeCheckpoint
from modelmark.steward.jobs.finish_acts import FinishActs
from modelmark.steward.jobs.queue_events import QueueEvents
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
    def drill(self) -> DrillMonitors:
        return DrillMonitors(
            workspace=self.workspace,
            monitoring_store=self.monitoring_store,
            monitored=self.monitored,
            load=lambda id: load_marked(self.artifacts.folder(id), self.verifier, id),
            base=self._beside_contract,
            clock=self.clock,
        )

    def _beside_contract(self, model: str) -> Path | None:
        """The folder of the contract that was registered last; None where nobody kept it."""
        path = self.monitoring_store.checkpoint(f"contract/{model}").get("path")
        return Path(path).parent if path else None

    def steward(self) -> Steward:
        """The control loop over everything that serves now."""
        notifier = AppriseNotifier(self.settings.notify) if self.settings.notify else None
        if notifier is not None:
            notifier.check()
        serving = ServingVersions(self.monitored, self.monitored.left)
        public_url = self.settings.public_url or ""
        if self.settings.checkpoint_to is not None:
            check_target(self.settings.checkpoint_to)
        turn = TurnRollouts(
            read=self.read_rollouts, move=self._moved_by_itself, monitoring_store=self.monitoring_store,
            announce=self.announce or _nobody,
        )  # fmt: skip
        look = TurnExperiments(
            running=self.experiments.running, read=self.read_experiment, stop=self.stop_experiment,
            monitoring_store=self.monitoring_store, announce=self.announce or _nobody,
        )  # fmt: skip
        guard = GuardCanaries(
            ledger=self.ledger, rollouts=self.rollouts, contract_of=self.contract_of, clock=self.clock,
            arms=partial(arms_now, self.workspace), end=self._ended_by_itself,
        )  # fmt: skip
        every = timedelta(minutes=self.settings.checkpoint_minutes)
        jobs = builtin(
            self.workspace,
            self.monitoring_store,
            serving,
            notifier,
            self.catch_up,
            witness=self.witness,
            checkpoint=MakeCheckpoint(make=self.checkpoint, interval=every),
            rollouts=rollout.TurnRollouts(turn=turn),
            experiments=experiment.TurnExperiments(turn=look),
            finish=FinishActs(
                due=self.finish.due, pending=self.finish.pending, start=FinishBehind(workspace=self.workspace)
            ),
            retrain=Retrain(
                due=self.due_retraining,
                begun=self.due_retraining.begun,
                start=TrainBehind(workspace=self.workspace),
                tell=self._tell_of_retraining,
            ),
            outward=self._outward(public_url),
            public_url=public_url,
        )
        lives = partial(watched_now, self.workspace)
        return Steward(
            jobs, serving, self.monitoring_store, self.clock, told=notifier is not None, lives=lives, quick=guard,
            public_url=public_url,
        )  # fmt: skip

    def _outward(self, public_url: str) -> tuple[Job, ...]:
        """Without webhooks, what happens is only noted, so that one that comes later is not told of all that was."""
        queue = QueueEvents(
            monitoring_store=self.monitoring_store, ledger=self.ledger, hooks=self.webhooks,
            environment=self.settings.environment, public_url=public_url,
        )  # fmt: skip
        call = CallWebhooks(
            monitoring_store=self.monitoring_store, hooks=self.webhooks, sender=self.webhook_sender, clock=self.clock
        )
        return queue, call

    def _moved_by_itself(self, act: RolloutAct, report: RolloutReport) -> RolloutProgress | None:
        return self.move_rollout(
            act,
            report.version,
            reason=report.next.sentence,
            expected=report.seen,
            event=report.progress.event,
            itself=True,
        )

    def _ended_by_itself(self, version: Version, reason: str, event: int) -> object:
        return self.move_rollout(RolloutAct.ABORT, version, reason=reason, event=event, itself=True)

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
            rollouts=self.rollouts,
            experiments=self.experiments,
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
                alert_precision=self.alert_precision,
                deliveries=self.deliveries,
            ),
        )

    def _actions(self) -> Actions:
        return Actions(
            people=self.people,
            releases=self.releases,
            waive=self.waive,
            release=self.release,
            rollback=self.rollback,
            move_rollout=self.move_rollout,
            stop_experiment=self.stop_experiment,
            handle_alert=self.handle_alert,
            send_again=self.send_again,
            endpoint_keys=self.endpoint_keys,
        )


def _nobody(*_: object) -> None:
    """Where nobody is to be told, nothing is kept."""
