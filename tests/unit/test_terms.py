"""What was agreed until a day becomes a finding on that day, and not before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from builders.domain import NOON, contract, version
from modelmark.app.usecases.monitored_versions import MonitoredVersions
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.finding import Outcome
from modelmark.domain.release import Waiver
from modelmark.domain.routes import Arm, Route, Snapshot
from modelmark.domain.version import REFERENCE
from modelmark.domain.workspace import Workspace
from modelmark.steward.alerts import tell
from modelmark.steward.expiries import Expiry, evaluate
from modelmark.testing.artifacts import MemoryArtifactStore
from modelmark.testing.ledger import MemoryLedger
from modelmark.testing.monitoring_store import MemoryMonitoringStore

TERM = Expiry(subject="age", ends_at=NOON + timedelta(days=30), sentence="v1 is too old.")
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("days", "outcome", "sentence"),
    [(29, Outcome.OK, "Holds until 2026-03-31 12:00 UTC."), (30, Outcome.ALERT, "v1 is too old.")],
)
def test_a_term_alerts_from_its_end_on(days: int, outcome: Outcome, sentence: str) -> None:
    (found,) = evaluate("loans", version().id, [TERM], NOON, NOON + timedelta(days=days))
    assert (found.outcome, found.sentence, found.subject) == (outcome, sentence, "age")


class Steward:
    """Looks once a day at what serves, for as long as the steward lives."""

    def __init__(self, folder: Path) -> None:
        self.ledger, artifacts, self.book = MemoryLedger(), MemoryArtifactStore(), MemoryMonitoringStore()
        self.ledger.add_version(version())
        (folder / "v").mkdir()
        (folder / "v" / REFERENCE).write_bytes(b"bins")
        artifacts.add(version().id, folder / "v")
        route = Route(
            model="loans", arms=(Arm(version=version().id, name="canary", weight=0.1), CHAMPION), previous=None
        )
        self.ledger.set_snapshot(Snapshot(sequence=1, issued_at=NOON, routes=(route,)))
        artifacts.add(CHAMPION.version, folder / "v")
        self.ledger.add_version(replace(version("champion", number=2), id=CHAMPION.version))
        self.settings: Monitors | None = None
        self.asked = MonitoredVersions(
            workspace=Workspace(folder),
            ledger=self.ledger,
            artifacts=artifacts,
            contract_of=lambda _: contract(),
            settings=lambda _: self.settings,
        )

    def waive(self, days: float, gate: str = "load") -> None:
        ends = NOON + days * DAY
        told = Waiver(version=version().id, gate=gate, name="Ann Lee", reason="r", expires_at=ends, at=NOON)
        self.ledger.add_waiver(told)

    def look(self, day: float) -> list[str]:
        """The subjects of what is open afterwards."""
        now = NOON + day * DAY
        found = [f for w in self.asked() for f in evaluate("loans", w.version, w.terms, now - DAY, now)]
        tell(self.book, found, now, every=DAY / 2, queue=False)
        return [alert.subject for alert in self.book.alerts(open_only=True)]


CHAMPION = Arm(version=version("champion").id, name="champion", weight=0.9)


def test_a_waiver_that_was_granted_while_the_steward_ran_alerts_at_its_end_and_a_renewed_one_ends_the_alert(
    tmp_path: Path,
) -> None:
    steward = Steward(tmp_path)
    assert steward.look(0) == []
    steward.waive(2)
    steward.waive(2, gate="slices")
    assert [steward.look(day) for day in (1, 3)] == [[], ["waiver of slices", "waiver of load"]]
    steward.waive(9)
    steward.waive(1)  # told late, and shorter: the last day counts
    assert [steward.look(day) for day in (4, 5)] == [["waiver of slices"], ["waiver of slices"]]
    assert sorted(steward.look(10)) == ["waiver of load", "waiver of slices"]


def test_every_version_that_serves_is_asked_with_its_arm(tmp_path: Path) -> None:
    assert [(w.version, w.arm) for w in Steward(tmp_path).asked()] == [
        (CHAMPION.version, "champion"), (version().id, "canary"),
    ]  # fmt: skip


def test_versions_are_watched_as_is_set_now(tmp_path: Path):
    case = Steward(tmp_path)
    said = [one.contract.monitors for one in case.asked()]
    case.settings = Monitors(window_minutes=7.0)
    assert [one.contract.monitors.window_minutes for one in case.asked()] == [7.0, 7.0]
    case.settings = None
    assert [one.contract.monitors for one in case.asked()] == said
