"""One look at one version: what happened in a window, as monitors see it, and what they say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.routes import ArmRole
from modelmark.domain.workspace import Workspace
from modelmark.monitors import enabled
from modelmark.monitors.monitor import MonitorContext
from modelmark.steward.job import FaultOwner, JobFault
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import MonitoredVersion, Profiler


@dataclass(frozen=True, slots=True)
class Looks:
    """Over the journal's tables and their profiles."""

    workspace: Workspace
    profiler: Profiler

    def view(self, watched: MonitoredVersion, now: datetime, *, known_by: datetime | None = None) -> MonitorContext:
        """The window that ends now; where what is predicted happened a while ago, that long ago. known_by: labels that were
        said later are not known yet."""
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
            observed=JournalObservations(self.workspace, self.profiler, watched, window, came=came, known_by=known_by),
            baseline=watched.baseline.estimate if watched.baseline else None,
            baseline_interval=watched.baseline,
            now=now,
            came=came,
        )

    def findings(
        self, watched: MonitoredVersion, view: MonitorContext, report: Callable[[JobFault], None]
    ) -> list[Finding]:
        """Of every monitor that the contract turns on; one that fails is a finding and keeps none of the others from it."""
        found: list[Finding] = []
        for monitor in enabled(_settings(watched)):
            try:
                found += monitor.evaluate(view)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not silence the others
                line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                said = f"monitor {monitor.name} of {watched.model} failed: {line}"
                report(JobFault(subject=monitor.name, sentence=said, owner=FaultOwner.LOG))
                sentence = f"Cannot tell: monitor {monitor.name} could not evaluate this window ({line})."
                found.append(view.finding(monitor.name, "monitor", Outcome.CANNOT_TELL, sentence, n=0))
        return named([_told_apart(finding, watched) for finding in found] if watched.left else found, watched)


def named(found: Iterable[Finding], watched: MonitoredVersion) -> list[Finding]:
    """With what people call the version, and where it stands."""
    return [replace(finding, label=watched.label, arm=watched.arm) for finding in found]


def _settings(watched: MonitoredVersion) -> Monitors:
    """Of a version that has left only what its labels say: it has no traffic that could drift. What comes in concerns the whole
    model, so only its champion is asked."""
    settings = watched.contract.monitors
    if watched.left:
        return replace(settings, quality=None, drift=None, volume=None, estimate=None, calibration=None, plugins={})
    return settings if watched.arm in ("", ArmRole.CHAMPION) else replace(settings, volume=None)


def _told_apart(finding: Finding, watched: MonitoredVersion) -> Finding:
    return replace(finding, sentence=f"{watched.label or watched.version.short} no longer serves. {finding.sentence}")
