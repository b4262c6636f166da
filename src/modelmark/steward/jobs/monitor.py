"""Having every monitor look at every version that serves, as often as its contract asks, and at the labels of those that have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from modelmark.domain.digest import Digest
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.workspace import Workspace
from modelmark.monitors.monitor import MonitorContext
from modelmark.steward import expiries, service
from modelmark.steward.alerts import tell
from modelmark.steward.job import FaultOwner, JobContext, JobFault
from modelmark.steward.looks import Looks, named
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import MonitoredVersion, Profiler
from modelmark.steward.responses import Responses
from modelmark.steward.serving_versions import ServingVersions


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorVersions:
    """Each model has its own interval, from its contracts, and its own checkpoint, `look/MODEL`. A model that cannot be
    looked at keeps none of the others from it. told: whether alerts become messages."""

    name: ClassVar = "look"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = "look"
    owner: ClassVar = FaultOwner.VERSIONS
    workspace: Workspace
    monitoring_store: MonitoringStore
    profiler: Profiler
    serving: ServingVersions
    told: bool
    public_url: str = ""

    def run(self, context: JobContext) -> bool:
        everyone = [*context.serving, *self._left(context)]
        for model in sorted({watched.model for watched in everyone}):
            try:
                self._evaluate(context, model, [watched for watched in everyone if watched.model == model])
            except Exception as error:  # noqa: BLE001 - whatever it is, the next model is looked at
                context.report(JobFault.of(self.name, error, self.owner))
        return True

    def _left(self, context: JobContext) -> Sequence[MonitoredVersion]:
        try:
            left = self.serving.left(context.now)
            for fault in self.serving.faults():
                context.report(fault)
            return left
        except Exception as error:  # noqa: BLE001 - whatever it is, those that serve are looked at
            context.report(JobFault.of(self.name, error, self.owner))
            return ()

    def _evaluate(self, context: JobContext, model: str, mine: Sequence[MonitoredVersion]) -> None:
        now, every = context.now, timedelta(seconds=min(watched.contract.monitors.every_seconds for watched in mine))
        key = f"{self.checkpoint}/{model}"
        last = self.monitoring_store.checkpoint(key).get("at")
        since = datetime.fromisoformat(last) if last else None
        if since is not None and now - since < every:
            return
        looks, found = Looks(self.workspace, self.profiler), list[Finding]()
        idle: set[Digest] = set()
        for watched in mine:
            view = looks.view(watched, now)
            found += looks.findings(watched, view, context.report)
            if watched.left:
                continue
            found += self._service(context, watched, view, every)
            if _is_idle(view):
                idle.add(watched.version)
            if since is not None and now - since > 2 * every:
                found += named([_unwatched(watched, since, now)], watched)
            found += named(expiries.evaluate(model, watched.version, watched.terms, since or now, now), watched)
        with self.monitoring_store.transaction():
            self.monitoring_store.add_findings(found)
            responses = Responses.known(mine, self.public_url)
            opened = tell(
                self.monitoring_store, found, now, every=every, queue=self.told, idle=idle, responses=responses
            )
            self.monitoring_store.set_checkpoint(key, {"at": now})
        context.step.findings += found
        context.step.opened += opened

    def _service(
        self, context: JobContext, watched: MonitoredVersion, view: MonitorContext, every: timedelta
    ) -> list[Finding]:
        view = view.of_requests()
        seen = JournalObservations(self.workspace, self.profiler, watched, view.window)
        try:
            requests, slow = seen.answered
            found = service.evaluate(view, requests=requests, slow=slow, silence=seen.silence, every=every)
        except Exception as error:  # noqa: BLE001 - whatever it is, the rest is told
            context.report(JobFault.of(service.NAME, error, FaultOwner.LOG))
            sentence = f"Cannot tell how {watched.model} is served: {type(error).__name__}."
            found = [view.finding(service.NAME, "monitor", Outcome.CANNOT_TELL, sentence, n=0)]
        return named(found, watched)


def _is_idle(view: MonitorContext) -> bool:
    """Nobody asked anything in the window. What cannot be read is no silence; the monitors say what went wrong."""
    try:
        return not view.requests and not view.refused
    except Exception:  # noqa: BLE001 - as above
        return False


def _unwatched(watched: MonitoredVersion, since: datetime, now: datetime) -> Finding:
    sentence = f"Nobody watched from {since:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC; the steward did not run."
    return Finding(
        monitor=expiries.NAME,
        model=watched.model,
        version=watched.version,
        subject="watch",
        window=Window(start=since, end=now),
        outcome=Outcome.CANNOT_TELL,
        sentence=sentence,
    )
