"""The twelve mistakes and the ML Test Score, as receipts tell them now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from modelmark.domain.audit import RELEASES, Event
from modelmark.domain.finding import Outcome
from modelmark.domain.ports import Clock, Delivery, Ledger, MonitoringStore
from modelmark.domain.version import Version
from modelmark.governance.difference import Side
from modelmark.governance.release_status import ReleaseStatus
from modelmark.governance.score import Facts, Scorecard
from modelmark.governance.scorecards import ml_test_score, twelve_mistakes
from modelmark.governance.signatures import Signatures

_LOOKED: Final = 2000  # newest findings of the version: far more than one look of every monitor makes


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecards:
    ledger: Ledger
    monitoring_store: MonitoringStore
    status: Callable[[Version], ReleaseStatus]
    describe: Callable[[Version], Side]
    signatures: Callable[[ReleaseStatus], Signatures]
    clock: Clock

    def __call__(self, version: Version) -> tuple[Scorecard, Scorecard]:
        """(the twelve mistakes, the ML Test Score) of one version."""
        side, signed = self.describe(version), self.signatures(self.status(version))
        looked = self.monitoring_store.findings(version.model, version=version.id, limit=_LOOKED)
        own = [event for event in self.ledger.events() if event.details.get("model") == version.model]
        facts = Facts(
            version=version,
            contract=side.contract,
            evidence=side.latest,
            events=own,
            findings={
                f.monitor: f for f in sorted(looked, key=lambda f: (f.window.end, f.outcome is not Outcome.CANNOT_TELL))
            },
            signed=signed.whole,
            told=self._told(version, own),
            alerted=self._alerted(version.model),
            now=self.clock(),
        )
        return twelve_mistakes(facts), ml_test_score(facts)

    def _told(self, version: Version, events: Sequence[Event]) -> Sequence[Delivery]:
        """The messages about the version's last release, which names them by its snapshot."""
        released = [e for e in events if e.subject == version.id and e.act in RELEASES]
        return self.monitoring_store.deliveries(f"released-{released[-1].details['snapshot']}-") if released else ()

    def _alerted(self, model: str) -> Sequence[Delivery]:
        """The messages that told of alerts of this model; the steward names each by the alerts' numbers."""
        known = {str(alert.id) for alert in self.monitoring_store.alerts(model=model)}
        return [d for d in self.monitoring_store.deliveries("opened-") if known.intersection(d.key.split("-")[1:])]
