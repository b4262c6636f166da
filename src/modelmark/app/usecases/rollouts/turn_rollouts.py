"""One look at every rollout: what its verdict calls for is done where the contract lets it, else asked of its owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from modelmark.domain.errors import Conflict, ModelmarkError
from modelmark.domain.ports import MonitoringStore
from modelmark.domain.rollouts.progress import RolloutProgress
from modelmark.domain.rollouts.report import KEPT, RolloutAct, RolloutReport
from modelmark.domain.rollouts.settings import Stage
from modelmark.governance.comments import Announcer
from modelmark.seal.digests import plain

_ASKED: Final = {RolloutAct.ADVANCE: "may go on", RolloutAct.ABORT: "should be taken out"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRollouts:
    """read: every rollout with its verdict. move: does an act by itself: (act, report) -> where it stands then."""

    read: Callable[[], list[RolloutReport]]
    move: Callable[[RolloutAct, RolloutReport], RolloutProgress | None]
    monitoring_store: MonitoringStore
    announce: Announcer

    def __call__(self) -> list[str]:
        """One sentence for each act that was called for and could not be done."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        for report in self.read():
            self.monitoring_store.set_checkpoint(f"{KEPT}{report.version.id.hex}", plain(report))
            following = report.next
            if following.act is not None and following.itself:
                try:
                    self.move(following.act, report)
                except Conflict:
                    continue  # somebody else was first; the next look sees what they did
                except ModelmarkError as error:
                    yield f"{report.version.model} {report.version.label} stays in its rollout: {error.message}"
                    self._ask(report, error.message)
            elif following.asks:
                self._ask(report, following.sentence)

    def _ask(self, report: RolloutReport, sentence: str) -> None:
        """Once for the same thing in the same stage."""
        version, act = report.version, report.next.act
        owner = (report.stage or Stage(kind=report.plan.stages[0].kind)).owner
        said = _ASKED.get(act, "waits for a decision") if act else "waits for a decision"
        self.announce(
            f"rollout-asks-{version.id.short}-{report.progress.event}-{act}"[:255], owner,
            f"{version.model} {version.label} {said}",
            f"{sentence} See the model's page, or: modelmark rollout status --model {version.model}",
        )  # fmt: skip
