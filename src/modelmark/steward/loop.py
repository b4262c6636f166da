"""The control loop: compact, profile, look, tell, send; small steps, each of which may be killed and begun again."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from modelmark.domain.errors import ModelmarkError, NotYet, Tampered
from modelmark.domain.finding import Alert, Finding, Outcome, Window
from modelmark.domain.ports import Clock, Notifier, Watchbook
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compacted, Compactor
from modelmark.journal.tables.query import labelled, refusals
from modelmark.monitors import enabled
from modelmark.monitors.monitor import View
from modelmark.monitors.truth import judged
from modelmark.steward import terms
from modelmark.steward.alerts import close_departed, send_due, tell
from modelmark.steward.profiler import Profiled, Profiler, Watched, bucket_seconds

NAME: Final = "steward"
PASSES: Final = 4  # compaction passes a step makes at most
MAINTAIN_EVERY: Final = timedelta(minutes=1)
MAX_LABELS: Final = 20_000  # the newest of a window; more do not make the interval usefully narrower


@dataclass(slots=True)
class Step:
    """What one step did. errors: one line each, already written to the log."""

    at: datetime
    compacted: list[Compacted] = field(default_factory=list)
    profiled: list[Profiled] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    opened: list[Alert] = field(default_factory=list)
    sent: int = 0
    errors: list[str] = field(default_factory=list)


class Steward:
    """Owns the control loop of one workspace. Not thread-safe: one thread steps.

    versions: the versions that serve now, asked in every step. notifier: None keeps alerts in the watchbook only.
    on_step: called after every step, for a live dashboard; it must not block. log: takes one line per fault.
    """

    def __init__(
        self,
        workspace: Workspace,
        watchbook: Watchbook,
        versions: Callable[[], Sequence[Watched]],
        notifier: Notifier | None,
        clock: Clock,
        *,
        step_seconds: float = 2.0,
        on_step: Callable[[Step], None] | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._workspace = workspace
        self._book = watchbook
        self._versions = versions
        self._notifier = notifier
        self._clock = clock
        self._step_seconds = step_seconds
        self._on_step = on_step
        self._log = log or _to_stderr
        self._compactor = Compactor(workspace)
        self._profiler = Profiler(workspace, watchbook)
        self._serving: Sequence[Watched] = ()
        self._maintained: datetime | None = None
        self._told: dict[str, datetime] = {}
        self._jitter = random.Random()

    def run(self, stop: threading.Event) -> None:
        """Step until told to stop. Nothing that goes wrong in a step ends it."""
        while not stop.is_set():
            self.step(self._clock())
            every = [watched.contract.monitors.every_seconds for watched in self._serving]
            stop.wait(min([self._step_seconds, *every]))

    def step(self, now: datetime) -> Step:
        """One round. What is due at `now` is done; whatever fails is a finding, and the rest goes on."""
        done = Step(now)
        if not self._serving:  # a fault found below is told about what serves
            self._try(done, "versions", self._ask)
        self._try(done, "compaction", lambda: self._compact(done))
        self._try(done, "versions", self._ask)  # after compaction: every version in the tables is known by now
        self._try(done, "profiles", lambda: self._profile(done))
        for model in sorted({watched.model for watched in self._serving}):
            self._try(done, "look", lambda model=model: self._look(done, model))  # type: ignore[misc]
        self._try(done, "departed alerts", lambda: self._close_departed(done))
        self._try(done, "maintenance", lambda: self._maintain(done))
        self._try(done, "messages", lambda: self._send(done))
        if self._on_step is not None:
            self._on_step(done)
        return done

    def _try(self, done: Step, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - the loop outlives any step, and the finding says which failed
            why = error.message if isinstance(error, ModelmarkError) else f"{type(error).__name__}: {error}"
            self._fault(done, what, f"{what} failed: {' '.join(why.split())[:300]}", Outcome.CANNOT_TELL)

    def _fault(self, done: Step, subject: str, sentence: str, outcome: Outcome) -> None:
        """Log one line, and keep a finding per serving model; the same fault again only once a look."""
        done.errors.append(sentence)
        self._log(f"modelmark steward: {sentence}")
        since = self._told.get(sentence)
        every = max((w.contract.monitors.every_seconds for w in self._serving), default=60.0)
        if since is not None and done.at - since < timedelta(seconds=every):
            return
        self._told = {said: at for said, at in self._told.items() if done.at - at < timedelta(days=1)}
        self._told[sentence] = done.at
        found = [
            Finding(
                monitor=NAME,
                model=watched.model,
                version=watched.version,
                subject=subject,
                window=Window(start=since or done.at, end=done.at),
                outcome=outcome,
                sentence=sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else "."),
            )
            for watched in self._serving
        ]
        try:
            with self._book.transaction():
                self._book.add_findings(found)
                every_look = timedelta(seconds=every)
                done.opened += tell(self._book, found, done.at, every=every_look, queue=self._notifier is not None)
            done.findings += found
        except Exception as error:  # noqa: BLE001 - the database may be what is down; the log has it
            self._log(f"modelmark steward: the finding could not be kept: {type(error).__name__}")

    def _compact(self, done: Step) -> None:
        for _ in range(PASSES):
            try:
                passed = self._compactor.run()
            except NotYet as error:
                if error.code != "COMPACTION_RUNS":
                    raise
                return  # somebody else does the work
            done.compacted.append(passed)
            self._damage(done, passed.damaged)
            if not passed.more:
                return

    def _damage(self, done: Step, damaged: Sequence[Tampered]) -> None:
        for error in damaged:
            self._fault(done, str(error.field or "journal"), error.message, Outcome.ALERT)

    def _ask(self) -> None:
        self._serving = tuple(self._versions())
        for watched in self._serving:
            self._profiler.watch(watched)

    def _profile(self, done: Step) -> None:
        while True:
            part = self._profiler.step()
            done.profiled.append(part)
            if part.lost:
                self._fault(done, "profiles", f"{part.lost} files were gone before they were profiled", Outcome.ALERT)
            if not part.behind:
                return

    def _look(self, done: Step, model: str) -> None:
        mine = [watched for watched in self._serving if watched.model == model]
        every = timedelta(seconds=min(watched.contract.monitors.every_seconds for watched in mine))
        key = f"look/{model}"
        last = self._book.checkpoint(key).get("at")
        since = datetime.fromisoformat(last) if last else None
        if since is not None and done.at - since < every:
            return
        found: list[Finding] = []
        for watched in mine:
            if since is not None and done.at - since > 2 * every:
                found.append(_unwatched(watched, since, done.at))
            found += self._views(done, watched)
            found += terms.look(model, watched.version, watched.terms, since or done.at, done.at)
        with self._book.transaction():
            self._book.add_findings(found)
            opened = tell(self._book, found, done.at, every=every, queue=self._notifier is not None)
            self._book.set_checkpoint(key, {"at": done.at})
        done.findings += found
        done.opened += opened

    def _views(self, done: Step, watched: Watched) -> list[Finding]:
        view = self.view(watched, done.at)
        found: list[Finding] = []
        for monitor in enabled(watched.contract.monitors):
            try:
                found += monitor.look(view)
            except Exception as error:  # noqa: BLE001 - a plugin may raise anything; it must not silence the others
                line = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
                self._log(f"modelmark steward: monitor {monitor.name} of {watched.model} failed: {line}")
                done.errors.append(f"monitor {monitor.name} failed: {line}")
                sentence = f"Cannot tell: monitor {monitor.name} could not evaluate this window ({line})."
                found.append(view.finding(monitor.name, "monitor", Outcome.CANNOT_TELL, sentence, n=0))
        return found

    def view(self, watched: Watched, now: datetime) -> View:
        """The window that ends now, as monitors see it."""
        reference = self._profiler.watch(watched)
        window = Window(start=now - timedelta(minutes=watched.contract.monitors.window_minutes), end=now)
        size = timedelta(seconds=bucket_seconds(watched.contract.monitors))
        return View(
            model=watched.model,
            version=watched.version,
            contract=watched.contract,
            reference=reference,
            window=window,
            profiles=self._profiler.window(watched, window.start - size / 2, window.end),
            labelled=lambda: judged(
                watched.contract,
                labelled(
                    self._workspace,
                    watched.model,
                    window.start,
                    window.end,
                    version=watched.version.hex,
                    limit=MAX_LABELS,
                ),
            ),
            refused=refusals(self._workspace, watched.model, window.start, window.end),
            baseline=watched.baseline,
            now=now,
        )

    def _close_departed(self, done: Step) -> None:
        serving = {(watched.model, watched.version) for watched in self._serving}
        close_departed(self._book, serving, done.at, queue=self._notifier is not None)

    def _maintain(self, done: Step) -> None:
        """Only once every file is profiled, since files that were rewritten go away an hour later."""
        behind = not done.profiled or done.profiled[-1].behind
        if behind or (self._maintained is not None and done.at - self._maintained < MAINTAIN_EVERY):
            return
        self._maintained = done.at
        try:
            self._damage(done, self._compactor.maintain())
        except NotYet as error:
            if error.code != "COMPACTION_RUNS":
                raise

    def _send(self, done: Step) -> None:
        if self._notifier is None:
            return
        done.sent, failures = send_due(self._book, self._notifier, done.at, self._jitter)
        for failure in failures:
            done.errors.append(failure)
            self._log(f"modelmark steward: a message waits: {failure}")


def _unwatched(watched: Watched, since: datetime, now: datetime) -> Finding:
    sentence = f"Nobody watched from {since:%Y-%m-%d %H:%M:%S} to {now:%Y-%m-%d %H:%M:%S} UTC; the steward did not run."
    return Finding(
        monitor=NAME,
        model=watched.model,
        version=watched.version,
        subject="watch",
        window=Window(start=since, end=now),
        outcome=Outcome.CANNOT_TELL,
        sentence=sentence,
    )


def _to_stderr(line: str) -> None:
    sys.stderr.write(line + "\n")
