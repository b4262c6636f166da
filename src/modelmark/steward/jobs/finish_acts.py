"""Having what follows an act finished, where whoever acted did not, or could not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import ClassVar, Protocol

from modelmark.steward.job import FaultOwner, JobContext, JobFault


class Child(Protocol):
    """A process: what it ended with, None while it runs."""

    def poll(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishActs:
    """In a process of its own, for MLflow takes memory that comes back only when one ends. The loop goes on meanwhile.

    due: something is left, and nobody is at it. pending: a sentence for each step that is left. start: starts the process.
    """

    name: ClassVar = "acts"
    interval: ClassVar = timedelta(minutes=5)  # after one that failed; else in the next step
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    due: Callable[[], bool]
    pending: Callable[[], Sequence[str]]
    start: Callable[[], Child]
    running: list[Child] = field(default_factory=list)

    def run(self, context: JobContext) -> bool:
        if not self.running:
            if self.due():
                self.running.append(self.start())
            elif not self.pending():
                context.well(self.name)
            return False
        ended = self.running[0].poll()
        if ended is None:
            return False
        self.running.clear()
        for sentence in self.pending() if ended else ():
            context.report(JobFault(subject=self.name, sentence=sentence))
        return ended != 0
