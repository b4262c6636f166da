"""Ending a canary whose answers fail, seconds after it began to, from what workers count: the tables are not waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from modelmark.domain.contract import Contract
from modelmark.domain.digest import Digest
from modelmark.domain.endpoint.arms_now import ArmKey, ArmsOf
from modelmark.domain.errors import Conflict
from modelmark.domain.ports import Clock, Ledger
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.settings import StageKind
from modelmark.domain.rollouts.verdict import Decision
from modelmark.domain.routes import ArmRole
from modelmark.domain.version import Version
from modelmark.governance.rollouts import Rollouts
from modelmark.rollouts.evidence import Failures
from modelmark.rollouts.verdict import failing, fast_share

#: So many workers that died within so many seconds, while a canary ran, are its doing as far as anybody can tell.
DEATHS: Final = 2
WITHIN: Final = 60.0


@dataclass(slots=True)
class _Watched:
    """base: what each process had counted when the stage was first looked at; last: what it has counted since."""

    base: dict[str, dict[ArmKey, tuple[int, int]]]
    last: dict[str, dict[ArmKey, tuple[int, int]]]
    lost: set[str]
    deaths: list[datetime] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardCanaries:
    """arms: what workers count now. end: takes a version out of its rollout: (version, reason, the last act about it)."""

    ledger: Ledger
    rollouts: Rollouts
    contract_of: Callable[[Version], Contract]
    arms: Callable[[], list[ArmsOf]]
    end: Callable[[Version, str, int], object]
    clock: Clock
    _watched: dict[tuple[Digest, datetime], _Watched] = field(default_factory=dict)
    _followed: list[tuple[int, tuple[RolloutProgress, ...]]] = field(default_factory=list)

    def __call__(self) -> list[str]:
        """One look. A sentence for each canary that it ended."""
        said = []
        running = self._running()
        arms = self.arms() if running else []
        for progress in running:
            version = self.ledger.version(progress.version)
            reason = self._reason(version, progress, arms)
            if reason:
                try:
                    self.end(version, reason, progress.event)
                except Conflict:
                    continue  # somebody was quicker
                said.append(f"{version.model} {version.label} was taken out of its rollout: {reason}")
        known = {(progress.version, progress.since) for progress in running}
        for key in self._watched.keys() - known:
            del self._watched[key]
        return said

    def _running(self) -> list[RolloutProgress]:
        """Canaries that may be ended by themselves. The audit is read again only where an act was added."""
        last = self.ledger.last_event()
        number = last.sequence if last else 0
        if not self._followed or self._followed[0][0] != number:
            self._followed[:] = [(number, self.rollouts.going())]
        return [progress for progress in self._followed[0][1] if self._is_watched(progress)]

    def _is_watched(self, progress: RolloutProgress) -> bool:
        if not progress.planned:
            return False
        plan = self.contract_of(self.ledger.version(progress.version)).rollout
        return (
            plan is not None
            and plan.rolls_back_itself
            and plan.margins.errors is not None
            and 0 <= progress.stage < len(plan.stages)
            and plan.stages[progress.stage].kind is StageKind.CANARY
        )

    def _reason(self, version: Version, progress: RolloutProgress, arms: list[ArmsOf]) -> str:
        counts = {one.process: dict(one.counts) for one in arms}
        dead = {one.process for one in arms if not one.alive}
        watched = self._watched.get((progress.version, progress.since))
        if watched is None:
            self._watched[progress.version, progress.since] = _Watched(base=counts, last=dict(counts), lost=dead)
            return ""
        watched.last |= counts
        now = self.clock()
        watched.deaths += [now] * len(dead - watched.lost)
        watched.lost |= dead
        recent = [at for at in watched.deaths if (now - at).total_seconds() < WITHIN]
        if len(recent) >= DEATHS:
            return f"{len(recent)} worker processes died within {WITHIN:.0f} seconds while it ran."
        route = self.rollouts.releases.route(version.model)
        if route is None:
            return ""
        champion = _since(watched, (version.model, route.champion.version.hex, ArmRole.CHAMPION))
        candidate = _since(watched, (version.model, version.id.hex, ArmRole.CANARY))
        plan = self.contract_of(version).rollout
        if plan is None or plan.margins.errors is None:
            return ""
        found = failing(champion, candidate, plan.margins.errors, alpha=fast_share(plan))
        return found.sentence if found.decision is Decision.ROLL_BACK else ""


def _since(watched: _Watched, key: ArmKey) -> Failures:
    """Of that version on that arm alone: what the canary before it left behind may be told late."""
    requests = failed = 0
    for process, counts in watched.last.items():
        n, bad = counts.get(key, (0, 0))
        n0, bad0 = watched.base.get(process, {}).get(key, (0, 0))
        requests, failed = requests + n - n0, failed + bad - bad0
    return Failures(requests=requests, failed=failed)
