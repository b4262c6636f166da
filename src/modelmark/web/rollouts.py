"""A model's rollouts as its page shows them: where each stands, and what the steward found when it last looked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelmark.domain.contract import Contract
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.release import State
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import KEPT
from modelmark.domain.rollouts.settings import Rollout, Stage
from modelmark.domain.version import Version
from modelmark.governance.rollouts import Rollouts

#: How each decision is drawn: (shape, class).
SIGNS: Final[Mapping[str, tuple[str, str]]] = {
    "ship": ("✓", "pass"),
    "roll back": ("✕", "fail"),
    "need more": ("?", "cannot-tell"),
    "could not evaluate": ("?", "cannot-tell"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """report: as the steward kept it; None until it has looked at this stage. stages: what was planned, the present one too."""

    version: Version
    progress: RolloutProgress
    stages: tuple[Stage, ...]
    report: Mapping[str, Any] | None
    takes_traffic: bool

    @property
    def heading(self) -> str:
        """One plain sentence."""
        who, stage = self.version.label, self.progress.stage
        if not self.progress.planned:
            return f"{who} was put beside the champion by hand"
        if stage < 0:
            return f"{who} carries its mark and waits for its turn"
        now = self.stages[stage]
        share = f" with {now.share * 100:.3g}% of traffic" if now.share is not None else ", answering nobody"
        return f"{who} is in stage {stage + 1} of {len(self.stages)}: {now.kind.value}{share}"

    @property
    def next_step(self) -> str:
        """What going on now would do."""
        following = self.progress.stage + 1
        if following >= len(self.stages):
            return f"Make {self.version.label} champion, with 100% of traffic"
        stage = self.stages[following]
        if stage.share is None:
            return f"Begin stage {following + 1}: {self.version.label} as a shadow"
        return f"Give {self.version.label} {stage.share * 100:.3g}% of traffic now"

    def end_step(self, champion: str) -> str:
        """What ending it would do."""
        if not self.takes_traffic:
            return f"Take {self.version.label} out; traffic stays as it is"
        return f"Take {self.version.label} out; {champion} takes its share back"

    @property
    def next_sentence(self) -> str:
        return str(self.report["next"]["sentence"]) if self.report else "The steward has not looked at this stage yet."

    @property
    def looked_at(self) -> datetime | None:
        return datetime.fromisoformat(self.report["at"]) if self.report else None

    @property
    def asks(self) -> bool:
        return bool(self.report and self.report["next"]["asks"])

    @property
    def metrics(self) -> list[Mapping[str, Any]]:
        verdict = self.report["verdict"] if self.report else None
        return list(verdict["metrics"]) if verdict else []


def rollout_views(
    rollouts: Rollouts, book: MonitoringStore, contract_of: Callable[[Version], Contract], model: str | None
) -> list[RolloutView]:
    """What the steward kept of an earlier stage is not shown."""
    found = []
    for progress in rollouts.going(model):
        version = rollouts.ledger.version(progress.version)
        kept = book.checkpoint(f"{KEPT}{version.id.hex}")
        mine = kept if kept and kept["progress"]["event"] == progress.event else None
        plan = contract_of(version).rollout or Rollout()
        canary = rollouts.ledger.state(version.id) is State.CANARY
        found.append(
            RolloutView(version=version, progress=progress, stages=plan.stages, report=mine, takes_traffic=canary)
        )
    return found


def facts(view: RolloutView) -> dict[str, Any]:
    """For machines."""
    return {
        "version": view.version.id, "label": view.version.label, "sentence": view.heading, "stage": view.progress.stage,
        "planned": view.progress.planned, "since": view.progress.since.isoformat(), "held": view.progress.held,
        "event": view.progress.event, "next": view.report["next"] if view.report else None,
        "verdict": view.report["verdict"] if view.report else None, "looked_at": view.report["at"] if view.report else None,
    }  # fmt: skip
