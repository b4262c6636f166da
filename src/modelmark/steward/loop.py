"""The control loop: runs the jobs that are due, in their order, and tells of what fails."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import WORKSPACE, Alert, Finding, Outcome, Window
from modelmark.domain.ports import Clock, MonitoringStore
from modelmark.domain.printable import one_line
from modelmark.steward.alerts import tell
from modelmark.steward.expiries import NAME
from modelmark.steward.job import FaultOwner, Job, JobContext, JobFault, Step
from modelmark.steward.memory import Memory
from modelmark.steward.responses import Responses
from modelmark.steward.serving_versions import ServingVersions
from modelmark.steward.stories import MANY

QUICK_SECONDS: Final = 0.5
#: What may differ from step to step in what is the same fault: 63 MiB are free, then 62.
_NUMBERS: Final = re.compile(r"[0-9][0-9,.]*")


class Steward:
    """Owns the control loop of one workspace. Not thread-safe: one thread steps.

    told: whether alerts become messages. log: takes one line per fault. lives: called after each step in which
    the database was there, for those who would miss it. quick: what cannot wait for a step, in a thread of its own twice a
    second; it gives what it did, a line each. public_url: where people reach the dashboard.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        serving: ServingVersions,
        monitoring_store: MonitoringStore,
        clock: Clock,
        *,
        told: bool = False,
        step_seconds: float = 2.0,
        log: Callable[[str], None] | None = None,
        lives: Callable[[], None] = lambda: None,
        quick: Callable[[], Sequence[str]] = tuple,
        public_url: str = "",
    ) -> None:
        self._quick = quick
        self._jobs = jobs
        self._serving = serving
        self._book = monitoring_store
        self._clock = clock
        self._told = told
        self._public_url = public_url
        self._step_seconds = step_seconds
        self._log = log or _to_stderr
        self._lives = lives
        self._blind = False  # the database was away in this step, so nothing could be seen or told
        self._memory = Memory()
        self._ran: dict[str, datetime] = {}
        self._said: dict[str, datetime] = {}
        self._standing: frozenset[str] | None = None  # subjects of open alerts about the workspace; None: to be asked

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop. Nothing that goes wrong in a step ends it."""
        threading.Thread(target=self._look_quickly, args=(stop,), name="quick looks", daemon=True).start()
        while not stop.is_set():
            self._blind = False
            self.step(self._clock())
            if not self._blind:
                self._lives()
            stop.wait(min([self._step_seconds, *self._intervals()]))

    def _look_quickly(self, stop: threading.Event) -> None:
        """A step may take longer than this may wait, and a step that fails keeps it from nothing."""
        said = ""
        while not stop.wait(QUICK_SECONDS):
            try:
                for line in self._quick():
                    self._log(f"modelmark steward: {line}")
                said = ""
            except Exception as error:  # noqa: BLE001 - it looks again in half a second
                fault = f"quick looks failed: {type(error).__name__}: {error}"
                if fault != said:
                    self._log(f"modelmark steward: {fault}")
                said = fault

    def step(self, now: datetime) -> Step:
        """One round. What is due at `now` is done; whatever fails is a finding, and the rest goes on."""
        step = Step(at=now)
        for job in self._jobs:
            try:
                if self._due(job, now):
                    self._run(job, step)
            except Exception as error:  # noqa: BLE001 - the loop outlives any job, and the finding says which failed
                self._blind |= isinstance(error, ModelmarkError) and error.code.startswith("DATABASE_")
                self._report(step, JobFault.of(job.name, error, job.owner))
            self._memory.give_back()
        return step

    def _due(self, job: Job, now: datetime) -> bool:
        if not job.interval:
            return True
        last = self._ran.get(job.name)
        if last is None and job.checkpoint:
            at = self._book.checkpoint(job.checkpoint).get("at")
            last = datetime.fromisoformat(at) if at else None
        return last is None or now - last >= job.interval

    def _run(self, job: Job, step: Step) -> None:
        """A run that raises counts as one: it is not tried again before its time."""
        before = self._ran.get(job.name)
        self._ran[job.name] = step.at
        context = JobContext(
            now=step.at, serving=self._serving.known, report=lambda fault: self._report(step, fault), step=step,
            well=lambda subject: self._well(step, subject),
        )  # fmt: skip
        if not job.run(context):
            self._ran.pop(job.name)
            if before is not None:
                self._ran[job.name] = before
        elif job.interval and job.checkpoint:
            self._book.set_checkpoint(job.checkpoint, {"at": step.at})

    def _report(self, step: Step, fault: JobFault) -> None:
        """Log one line, and keep a finding per serving version; the same fault again only once a look."""
        step.errors.append(fault.sentence)
        self._log(f"modelmark steward: {fault.sentence}")
        if fault.owner is FaultOwner.LOG:
            return
        what = f"{fault.subject}: {_NUMBERS.sub('#', fault.sentence)}"
        since, every = self._said.get(what), timedelta(seconds=max(self._intervals(), default=60.0))
        if since is not None and step.at - since < every:
            return
        self._said = {said: at for said, at in self._said.items() if step.at - at < timedelta(days=1)}
        self._said[what] = step.at
        found = self._findings(fault, Window(start=since or step.at, end=step.at))
        try:
            with self._book.transaction():
                self._book.add_findings(found)
                opened = self._tell(found[:1], step.at, every)
            step.findings += found
            step.opened += opened
        except Exception as error:  # noqa: BLE001 - the database may be what is down; the log has it
            self._log(f"modelmark steward: the finding could not be kept: {type(error).__name__}")

    def _well(self, step: Step, subject: str) -> None:
        """What was reported of it is over, once that was so in two looks."""
        if self._standing is None:
            self._standing = frozenset(
                a.subject for a in self._book.alerts(open_only=True, limit=MANY) if a.is_of_workspace
            )
        if subject not in self._standing:
            return
        over = JobFault(subject=subject, sentence="it is well again", outcome=Outcome.OK)
        every = timedelta(seconds=max(self._intervals(), default=60.0))
        self._tell(self._findings(over, Window(start=step.at, end=step.at))[:1], step.at, every)

    def _tell(self, found: Sequence[Finding], now: datetime, every: timedelta) -> list[Alert]:
        """One alert for all that serve. It stays with the version it began with, also when that serves no more."""
        standing = [a for a in self._book.alerts(open_only=True, limit=MANY) if a.is_of_workspace]
        begun = {alert.subject: alert for alert in standing}
        mine = [replace(finding, label=WORKSPACE, arm="") for finding in found]
        mine = [
            replace(f, model=begun[f.subject].model, version=begun[f.subject].version) if f.subject in begun else f
            for f in mine
        ]
        self._standing = None
        responses = Responses.known(self._serving.known, self._public_url)
        return tell(self._book, mine, now, every=every, queue=self._told, responses=responses)

    def _findings(self, fault: JobFault, window: Window) -> list[Finding]:
        sentence = fault.sentence[:1].upper() + fault.sentence[1:] + ("" if fault.sentence.endswith(".") else ".")
        return [
            Finding(
                monitor=NAME,
                model=watched.model,
                version=watched.version,
                subject=fault.subject,
                window=window,
                outcome=fault.outcome,
                sentence=sentence,
                label=watched.label,
                arm=watched.arm,
            )
            for watched in self._serving.known
        ]

    def _intervals(self) -> list[float]:
        """How often, in seconds, each version that serves asks to be looked at."""
        return [watched.contract.monitors.every_seconds for watched in self._serving.known]


def _to_stderr(line: str) -> None:
    sys.stderr.write(one_line(line) + "\n")
