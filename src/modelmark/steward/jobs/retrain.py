"""Training again when it is time, in a process of its own: one at a time, while the loop goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Protocol

from modelmark.domain.finding import Outcome
from modelmark.steward.job import FaultOwner, JobContext, JobFault


class Asked(Protocol):
    """One model to be trained. contract: where it is, None where nobody knows."""

    @property
    def model(self) -> str: ...
    @property
    def contract(self) -> Path | None: ...
    @property
    def why(self) -> str: ...


class Running(Protocol):
    """A process that trains."""

    def poll(self) -> int | None:
        """What it ended with, None while it runs."""
        ...

    def told(self) -> str:
        """Once it has ended: how, in a sentence for people."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """due: what is to be trained now. begun: notes that it is. start: starts the process. tell: lets the model's owner know
    how it ended."""

    name: ClassVar = "retraining"
    interval: ClassVar = timedelta(seconds=20)
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    due: Callable[[datetime], Iterable[Asked]]
    begun: Callable[[str, datetime], None]
    start: Callable[[Path, str], Running]
    tell: Callable[[str, str, datetime], None]
    running: dict[str, Running] = field(default_factory=dict)

    def run(self, context: JobContext) -> bool:
        if self.running:
            return self._look(context)
        for asked in self.due(context.now):
            if asked.contract is None or not asked.contract.is_file():
                where = f"at {asked.contract}" if asked.contract else "beside this workspace"
                context.report(self._fault(asked.model, f"its contract is not {where}; register it here once"))
                continue
            self.begun(asked.model, context.now)
            self.running[asked.model] = self.start(asked.contract, asked.why)
            return False  # looked at in the next step
        return True

    def _look(self, context: JobContext) -> bool:
        for model, child in list(self.running.items()):
            code = child.poll()
            if code is None:
                return False
            del self.running[model]
            if code in (0, 1):  # better, or kept as evidence
                context.well(self._subject(model))
                self.tell(model, child.told(), context.now)
            else:
                context.report(self._fault(model, child.told()))
        return True

    def _subject(self, model: str) -> str:
        return f"{self.name}/{model}"

    def _fault(self, model: str, why: str) -> JobFault:
        sentence = f"The model {model} could not be trained again: {why}"
        return JobFault(subject=self._subject(model), sentence=sentence[:300], outcome=Outcome.ALERT)
