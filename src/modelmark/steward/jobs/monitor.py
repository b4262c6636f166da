"""Having every monitor look at every version that serves, as often as its contract asks, and at the labels of those that have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.digest import Digest
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.workspace import Workspace
from modelmark.monitors import enabled
from modelmark.monitors.monitor import MonitorContext
from modelmark.steward import expiries, service
from modelmark.steward.alerts import tell
from modelmark.steward.job import FaultOwner, JobContext, JobFault
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import MonitoredVersion, Profiler
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
        found: list[Finding] = []
        idle: set[Digest] = set()
        for watched in mine:
            view = self._view(watched, now)
            found += self._findings(context, watched, view)
            if watched.left:
                continue
            found += self._service(context, watched, view, every)
            if _is_idle(view):
                idle.add(watched.version)
            if since is not None and now - since > 2 * every:
                found += _named([_unwatched(watched, since, now)], watched)
            found += _named(expiries.evaluate(model, watched.version, watched.terms, since or now, now), watched)
        with self.monitoring_store.transaction():
            self.monitoring_store.add_findings(found)
            opened = tell(self.monitoring_store, found, now, every=every, queue=self.told, idle=idle)
            self.monitoring_store.set_checkpoint(key, {"at": now})
        context.step.findings += found
        context.step.opened += opened

    def _findings(self, context: JobContext, watched: MonitoredVersion, view: MonitorContext) -> list[Finding]:
        found: list[Finding] = []
        for monitor in enabled(_settings(watched)):
            try:
                found += monitor.evaluate(view)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not silence the others
                line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                said = f"monitor {monitor.name} of {watched.model} failed: {line}"
                context.report(JobFault(subject=monitor.name, sentence=said, owner=FaultOwner.LOG))
                sentence = f"Cannot tell: monitor {monitor.name} could not evaluate this window ({line})."
                found.append(view.finding(monitor.name, "monitor", Outcome.CANNOT_TELL, sentence, n=0))
        return _named([_told_apart(finding, watched) for finding in found] if watched.left else found, watched)

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
        return _named(found, watched)

    def _view(self, watched: MonitoredVersion, now: datetime) -> MonitorContext:
        """The window that ends now, as monitors see it; where what is predicted happened a while ago, that long ago."""
        length, end = (
            timedelta(minutes=watched.contract.monitors.window_minutes),
            now - self.profiler.lag(watched.model),
        )
        window, came = Window(start=end - length, end=end), Window(start=now - length, end=now)
        return MonitorContext(
            model=watched.model,
            version=watched.version,
            contract=watched.contract,
            reference=self.profiler.watch(watched),
            window=window,
            observed=JournalObservations(self.workspace, self.profiler, watched, window, came=came),
            baseline=watched.baseline.estimate if watched.baseline else None,
            baseline_interval=watched.baseline,
            now=now,
            came=came,
        )


def _is_idle(view: MonitorContext) -> bool:
    """Nobody asked anything in the window. What cannot be read is no silence; the monitors say what went wrong."""
    try:
        return not view.requests and not view.refused
    except Exception:  # noqa: BLE001 - as above
        return False


def _settings(watched: MonitoredVersion) -> Monitors:
    """Of a version that has left only what its labels say: it has no traffic that could drift."""
    settings = watched.contract.monitors
    return replace(settings, quality=None, drift=None, plugins={}) if watched.left else settings


def _named(found: Iterable[Finding], watched: MonitoredVersion) -> list[Finding]:
    return [replace(finding, label=watched.label, arm=watched.arm) for finding in found]


def _told_apart(finding: Finding, watched: MonitoredVersion) -> Finding:
    return replace(finding, sentence=f"{watched.label or watched.version.short} no longer serves. {finding.sentence}")


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
