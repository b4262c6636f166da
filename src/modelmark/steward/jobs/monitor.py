"""Having every monitor look at every version that serves, as often as its contract asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from modelmark.domain.finding import Finding, Outcome, Window
from modelmark.domain.ports import Watchbook
from modelmark.domain.workspace import Workspace
from modelmark.monitors import enabled
from modelmark.monitors.monitor import View
from modelmark.steward import terms
from modelmark.steward.alerts import tell
from modelmark.steward.job import FaultOwner, JobContext, JobFault
from modelmark.steward.observations import JournalObservations
from modelmark.steward.profiler import Profiler, Watched


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorVersions:
    """Each model has its own interval, from its contracts, and its own checkpoint, `look/MODEL`. A model that cannot be
    looked at keeps none of the others from it. told: whether alerts become messages."""

    name: ClassVar = "look"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = "look"
    owner: ClassVar = FaultOwner.VERSIONS
    workspace: Workspace
    watchbook: Watchbook
    profiler: Profiler
    told: bool

    def run(self, context: JobContext) -> bool:
        for model in sorted({watched.model for watched in context.serving}):
            try:
                self._look(context, model, [watched for watched in context.serving if watched.model == model])
            except Exception as error:  # noqa: BLE001 - whatever it is, the next model is looked at
                context.report(JobFault.of(self.name, error, self.owner))
        return True

    def _look(self, context: JobContext, model: str, mine: Sequence[Watched]) -> None:
        now, every = context.now, timedelta(seconds=min(watched.contract.monitors.every_seconds for watched in mine))
        key = f"{self.checkpoint}/{model}"
        last = self.watchbook.checkpoint(key).get("at")
        since = datetime.fromisoformat(last) if last else None
        if since is not None and now - since < every:
            return
        found: list[Finding] = []
        for watched in mine:
            if since is not None and now - since > 2 * every:
                found.append(_unwatched(watched, since, now))
            found += self._views(context, watched)
            found += terms.look(model, watched.version, watched.terms, since or now, now)
        with self.watchbook.transaction():
            self.watchbook.add_findings(found)
            opened = tell(self.watchbook, found, now, every=every, queue=self.told)
            self.watchbook.set_checkpoint(key, {"at": now})
        context.step.findings += found
        context.step.opened += opened

    def _views(self, context: JobContext, watched: Watched) -> list[Finding]:
        view = self._view(watched, context.now)
        found: list[Finding] = []
        for monitor in enabled(watched.contract.monitors):
            try:
                found += monitor.look(view)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not silence the others
                line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                said = f"monitor {monitor.name} of {watched.model} failed: {line}"
                context.report(JobFault(subject=monitor.name, sentence=said, owner=FaultOwner.LOG))
                sentence = f"Cannot tell: monitor {monitor.name} could not evaluate this window ({line})."
                found.append(view.finding(monitor.name, "monitor", Outcome.CANNOT_TELL, sentence, n=0))
        return found

    def _view(self, watched: Watched, now: datetime) -> View:
        """The window that ends now, as monitors see it."""
        window = Window(start=now - timedelta(minutes=watched.contract.monitors.window_minutes), end=now)
        return View(
            model=watched.model,
            version=watched.version,
            contract=watched.contract,
            reference=self.profiler.watch(watched),
            window=window,
            observed=JournalObservations(self.workspace, self.profiler, watched, window),
            baseline=watched.baseline,
            now=now,
        )


def _unwatched(watched: Watched, since: datetime, now: datetime) -> Finding:
    sentence = f"Nobody watched from {since:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC; the steward did not run."
    return Finding(
        monitor=terms.NAME,
        model=watched.model,
        version=watched.version,
        subject="watch",
        window=Window(start=since, end=now),
        outcome=Outcome.CANNOT_TELL,
        sentence=sentence,
    )
