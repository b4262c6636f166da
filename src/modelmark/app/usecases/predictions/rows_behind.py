"""An alert with what it is about: the rows, or what callers were told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelmark.domain.contract import Contract
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.finding import Alert
from modelmark.domain.ports import Ledger
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.behind import named, predicted_rows, wrong_rows
from modelmark.journal.tables.query import refusals
from modelmark.journal.tables.schema import input_columns

#: How far back wrong answers are looked for.
LABELLED: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """inputs: the columns that are shown of each row. refused: (code, field, how many), of `version` in [start, end)."""

    sentence: str
    inputs: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()
    refused: Sequence[tuple[str, str, int]] = ()
    version: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsBehind:
    workspace: Workspace
    ledger: Ledger
    contract_of: Callable[[Version], Contract]

    def __call__(self, alert: Alert) -> Behind:
        """Of the window in which it was last seen."""
        if alert.monitor == "steward":
            return Behind(sentence="No rows are behind it.")
        try:
            contract = self.contract_of(self.ledger.version(alert.version))
        except ModelmarkError as error:
            return Behind(sentence=f"The rows cannot be read: {error.message}.")
        model, version, end = alert.model, alert.version.hex, alert.seen_at
        start = end - timedelta(minutes=contract.monitors.window_minutes)
        if alert.monitor == "performance":
            wrong = wrong_rows(self.workspace, model, version, end - LABELLED, end)
            return Behind(
                sentence=f"{len(wrong)} labelled rows that were answered otherwise, the newest of 90 days.", rows=wrong
            )
        if alert.subject in ("requests", "errors"):
            told = refusals(self.workspace, model, start, end, version=version)
            why = [(code, field, n) for (code, field), n in told.items()]
            said = "What callers were told in the window; what they sent is not kept."
            return Behind(sentence=said, refused=why, version=version, start=start, end=end)
        columns = input_columns([i.name for i in contract.numeric()], [i.name for i in contract.textual()])
        inputs = named(alert.subjects, columns)
        rows = predicted_rows(
            self.workspace, model, version, start, end, inputs=inputs, faulty_first=alert.monitor == "quality"
        )
        return Behind(sentence=f"The newest {len(rows)} rows of the window.", inputs=tuple(inputs), rows=rows)
