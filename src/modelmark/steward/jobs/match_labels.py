"""What was said of entities, told as labels of the predictions that it is about."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Final

from modelmark.domain.classes import parse_label
from modelmark.domain.contract import Contract
from modelmark.domain.finding import Outcome
from modelmark.domain.routes import ArmRole
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import TableFiles
from modelmark.journal.tables.observed_rows import LONG, OBSERVED, match
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import input_columns
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.steward.job import FaultOwner, JobContext, JobFault

#: What waits for its prediction is looked at again so often.
AGAIN: Final = timedelta(minutes=1)


@dataclass(slots=True, kw_only=True)
class MatchLabels:
    """Whatever a crash interrupts comes again: a label that is there already is not told twice. What waits, and what is astray, is
    said; nothing is thrown away."""

    name: ClassVar = "labels by entity"
    interval: ClassVar = timedelta()
    checkpoint: ClassVar = ""
    owner: ClassVar = FaultOwner.VERSIONS
    workspace: Workspace
    _seen: frozenset[str] = frozenset()
    _models: frozenset[str] = frozenset()
    _waits: dict[str, datetime] = field(default_factory=dict)

    def run(self, context: JobContext) -> bool:
        if OBSERVED not in table_names(self.workspace):
            return True
        files = TableFiles.of(self.workspace, OBSERVED).names
        champions = {one.model: one.contract for one in context.serving if one.arm in ("", ArmRole.CHAMPION)}
        changed = files != self._seen or self._models != frozenset(champions)
        for model, contract in champions.items():
            again = self._waits.get(model)
            if changed or (again is not None and context.now - again >= AGAIN):
                self._match(context, model, contract)
        self._seen, self._models = files, frozenset(champions)
        return True

    def _match(self, context: JobContext, model: str, contract: Contract) -> None:
        columns = input_columns([one.name for one in contract.numeric()], [one.name for one in contract.textual()])
        key = columns.get(contract.data.entity_key or "")
        found = match(self.workspace, model, context.now, key=key, parse=partial(parse_label, contract))
        if found.labels:
            with Writer(self.workspace.wal, sync=Sync.ALWAYS) as writer:
                writer.append_many(found.labels)
        self._waits.pop(model, None)
        if found.waiting or found.labels:
            self._waits[model] = context.now
        for count, what in (
            (
                found.astray,
                f"name an entity of which no prediction is known from before, {LONG // timedelta(hours=1)} hour later",
            ),
            (found.several, "name an entity that its prediction has in several rows"),
        ):
            if count:
                said = f"{count:,} labels of {model} {what}, so they count for none"
                context.report(JobFault(subject=self.name, sentence=said, outcome=Outcome.CANNOT_TELL))
