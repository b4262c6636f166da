"""Reading experiments, and ending those that are over by what was agreed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from time import perf_counter
from typing import ClassVar, Final

from modelmark.steward.job import FaultOwner, JobContext, JobFault

#: At most this part of the steward's time is spent on looks at experiments.
DUTY: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnExperiments:
    """turn: one look at all of them; it gives a sentence for each act that could not be done."""

    name: ClassVar = "experiments"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    turn: Callable[[], Sequence[str]]
    clock: Callable[[], float] = perf_counter
    rest: list[float] = field(default_factory=list)

    def run(self, context: JobContext) -> bool:
        begun = self.clock()
        if self.rest and begun < self.rest[0]:
            return False
        for sentence in self.turn():
            context.report(JobFault(subject=self.name, sentence=sentence))
        ended = self.clock()
        self.rest[:] = [ended + (ended - begun) * (1 / DUTY - 1)]
        return True
