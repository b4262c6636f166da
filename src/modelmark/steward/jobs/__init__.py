"""What the steward does, one job a file, in the order in which a step runs them. A further job is one more row here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from modelmark.domain.ports import MonitoringStore, Notifier
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.witness import Witness
from modelmark.steward.job import Job
from modelmark.steward.jobs.checkpoint import MakeCheckpoint
from modelmark.steward.jobs.close_departed import CloseDeparted
from modelmark.steward.jobs.compact import Compact
from modelmark.steward.jobs.deliver import Deliver
from modelmark.steward.jobs.disk_room import DiskRoom
from modelmark.steward.jobs.escalate import Escalate
from modelmark.steward.jobs.experiment import TurnExperiments
from modelmark.steward.jobs.finish_acts import FinishActs
from modelmark.steward.jobs.follow_releases import FollowReleases
from modelmark.steward.jobs.hear_workers import HearWorkers
from modelmark.steward.jobs.maintain import Maintain
from modelmark.steward.jobs.match_labels import MatchLabels
from modelmark.steward.jobs.monitor import MonitorVersions
from modelmark.steward.jobs.profile import Profile
from modelmark.steward.jobs.prune import Prune
from modelmark.steward.jobs.publish import Publish
from modelmark.steward.jobs.retrain import Retrain
from modelmark.steward.jobs.rollout import TurnRollouts
from modelmark.steward.profiler import Profiler
from modelmark.steward.serving_versions import ServingVersions


def builtin(
    workspace: Workspace,
    monitoring_store: MonitoringStore,
    serving: ServingVersions,
    notifier: Notifier | None,
    catch_up: Callable[[], object] = lambda: None,
    *,
    witness: Witness | None = None,
    checkpoint: MakeCheckpoint | None = None,
    finish: FinishActs | None = None,
    retrain: Retrain | None = None,
    rollouts: TurnRollouts | None = None,
    experiments: TurnExperiments | None = None,
    outward: Sequence[Job] = (),
    public_url: str = "",
) -> tuple[Job, ...]:
    """notifier: None keeps alerts in the monitoring store only. catch_up: as for Publish. witness: signs where
    the journal stands. checkpoint: None makes none. finish: None leaves what follows acts to whoever acts. retrain: None
    trains nothing. rollouts, experiments: None leaves them to people. outward: what tells other systems. public_url: of the
    dashboard."""
    compactor, profiler = Compactor(workspace, witness=witness), Profiler(workspace, monitoring_store)
    told = notifier is not None
    follow = FollowReleases(serving=serving, profiler=profiler)
    return (
        follow,  # so that a fault below has somebody to be told to
        DiskRoom(workspace=workspace),
        HearWorkers(workspace=workspace),
        Publish(catch_up=catch_up),
        *((finish,) if finish else ()),
        Compact(compactor=compactor),
        MatchLabels(workspace=workspace),
        follow,  # again, so that every version in the tables is known before its rows are counted
        *((rollouts,) if rollouts else ()),  # the tables are as new as they get
        *((experiments,) if experiments else ()),
        Profile(profiler=profiler),
        MonitorVersions(
            workspace=workspace,
            monitoring_store=monitoring_store,
            profiler=profiler,
            serving=serving,
            told=told,
            public_url=public_url,
        ),
        *((retrain,) if retrain else ()),  # after the look that may ask for it
        CloseDeparted(monitoring_store=monitoring_store, serving=serving, told=told, public_url=public_url),
        Escalate(monitoring_store=monitoring_store, public_url=public_url, told=told),
        *outward,  # after whatever changes alerts
        Prune(monitoring_store=monitoring_store, profiler=profiler),
        Maintain(compactor=compactor, profiler=profiler),
        *((checkpoint,) if checkpoint else ()),
        Deliver(monitoring_store=monitoring_store, notifier=notifier),
    )
