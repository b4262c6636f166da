"""Which models are to be trained again now, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from modelmark.domain.contract import Contract
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.version import Version
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.cohorts import labelled_since
from modelmark.retraining.triggers import Since, reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """contract: where it is; None where nobody knows, because the model was registered elsewhere."""

    model: str
    contract: Path | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRetraining:
    """champions: what serves, by model. The contract that a champion was released with decides when."""

    workspace: Workspace
    monitoring_store: MonitoringStore
    champions: Callable[[], dict[str, Version]]
    contract_of: Callable[[Version], Contract]

    def __call__(self, now: datetime) -> Iterator[Due]:
        for model, champion in sorted(self.champions().items()):
            agreed = self.contract_of(champion).retraining
            if agreed.entry is None:
                continue
            why = reason(agreed, self._since(model, champion), now)
            if why is not None:
                known = self.monitoring_store.checkpoint(f"contract/{model}").get("path")
                yield Due(model=model, contract=Path(known) if known else None, why=why)

    def begun(self, model: str, at: datetime) -> None:
        """What comes later counts for the next time."""
        self.monitoring_store.set_checkpoint(f"retraining/{model}", {"at": at.isoformat()})

    def _since(self, model: str, champion: Version) -> Since:
        known = self.monitoring_store.checkpoint(f"retraining/{model}").get("at")
        last = max([champion.created_at, *([datetime.fromisoformat(known)] if known else [])])
        alerts = self.monitoring_store.alerts(model=model, open_only=True)
        loss = next((a.sentence for a in alerts if a.monitor == "performance" and a.version == champion.id), "")
        return Since(trained_at=last, labels=labelled_since(self.workspace, model, last), loss=loss)
