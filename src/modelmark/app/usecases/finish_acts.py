"""What follows a release or a rollback, and nobody waits for: a checkpoint and its copy elsewhere, then MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modelmark.domain.errors import ModelmarkError
from modelmark.domain.ports import Ledger, MonitoringStore
from modelmark.domain.workspace import Workspace
from modelmark.seal.files import taken, turn

#: Its key in the monitoring store: the snapshot up to which each step is done, and what the last try said of those that are not.
POSITION: Final = "acts"
_SAID: Final = {
    "checkpoint": "no checkpoint was made or copied",
    "mlflow": "MLflow's aliases and marks are out of date",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishActs:
    """Any process may be at it, at any time: one at a time is, and whatever it leaves the next one does.

    checkpoint: makes and copies one. follow: has MLflow hear of every act after a snapshot of that number. Each may raise
    whatever goes wrong, which is kept.
    """

    workspace: Workspace
    ledger: Ledger
    monitoring_store: MonitoringStore
    checkpoint: Callable[[], object]
    follow: Callable[[int], object]

    def __call__(self) -> bool:
        """Waits for whoever is at it, and does what is left. False where something still is: `pending` says why."""
        with turn(self._place):
            for step, act in {"checkpoint": lambda _: self.checkpoint(), "mlflow": self.follow}.items():
                self._step(step, act)
            return not self._left()

    def pending(self) -> list[str]:
        """A sentence for each step that the last act still waits for."""
        failed = self._position().get("failed", {})
        return [
            f"{_SAID[step]}: {failed[step]}" if step in failed else f"{_SAID[step]} yet; it is done behind the act"
            for step in self._left()
        ]

    def due(self) -> bool:
        """Something is left, and nobody is at it."""
        return bool(self._left()) and not taken(self._place)

    @property
    def _place(self) -> Path:
        return self.workspace.runtime / "acts"

    def _position(self) -> Mapping[str, Any]:
        return self.monitoring_store.checkpoint(POSITION)

    def _left(self) -> list[str]:
        snapshot, position = self.ledger.snapshot(), self._position()
        return [step for step in _SAID if snapshot is not None and int(position.get(step, 0)) < snapshot.sequence]

    def _step(self, step: str, act: Callable[[int], object]) -> None:
        snapshot, position = self.ledger.snapshot(), self._position()
        done, failed = int(position.get(step, 0)), {k: v for k, v in position.get("failed", {}).items() if k != step}
        if snapshot is None or done >= snapshot.sequence:
            return
        try:
            act(done)
            done = snapshot.sequence
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept and told, and the next step goes on
            failed[step] = error.message if isinstance(error, ModelmarkError) else f"{type(error).__name__}: {error}"
        self.monitoring_store.set_checkpoint(POSITION, {**position, step: done, "failed": failed})
