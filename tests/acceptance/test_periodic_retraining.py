"""Periodic retraining: the world turns, and without a hand a model is trained, proven, met by a part of the traffic, shipped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pandas as pd

from journey import NAME, Place, mixed, rows_of, small, until
from modelmark import Client
from modelmark.app.retrained import code_digest
from modelmark.domain.release import State

FIT = """
import sys
sys.path.insert(0, {tests!r})
from journey import logistic, pipeline

def train(table, seed):
    return pipeline(table, "y", logistic())
"""
PLAN = """retraining: {{entry: "fit.py:train", new_labels: 400, strategy: window, window_days: 1, unattended: true, code: "{code}"}}
rollout:
  stages: [{{kind: canary, share: 0.5, least_requests: 100, least_minutes: 0}}]
  margins: {{disagreement: null, score: null, latency_ratio: null}}
  ships_itself: true"""
UNASKED = (
    r"^  replay: null",
    "  replay: null\n  slices: null\n  leakage: null\n  edge_cases: null\n  supply_chain: null\n  calibration: null",
)


def turned(rows: int, seed: int) -> pd.DataFrame:
    """What was yes is no."""
    table = mixed(rows, seed)
    return table.assign(y=table["y"].map({"yes": "no", "no": "yes"}))


class Callers(threading.Thread):
    """Ask row by row, and tell the truth at once, until told to stop."""

    def __init__(self, address: str, table: pd.DataFrame) -> None:
        super().__init__(daemon=True)
        self.client, self.failed = Client(address), list[str]()
        self.rows, self.truth = rows_of(table, "y", len(table)), table["y"].tolist()
        self.answered: dict[str, int] = {}
        self.stopped = threading.Event()

    def run(self) -> None:
        at = 0
        while not self.stopped.is_set():
            place = at % len(self.rows)
            try:
                found = self.client.predict(NAME, [self.rows[place]])
                self.answered[found.version] = self.answered.get(found.version, 0) + 1
                self.client.label(NAME, [(found.id, 0, self.truth[place])])
            except Exception as error:  # noqa: BLE001 - whatever it is, it is the test's finding
                self.failed.append(repr(error))
            at += 1
            self.stopped.wait(0.01)


def states(app: Any) -> dict[str, State]:
    return {version.label: app.ledger.state(version.id) for version in app.ledger.versions(NAME)}


def test_a_turned_world_is_followed_without_a_hand(tmp_path: Path) -> None:
    place: Place = small(tmp_path / "place")
    (place.folder / "fit.py").write_text(FIT.format(tests=str(Path(__file__).parents[1])))
    place.champion((r"^retraining: .*", PLAN.format(code=code_digest(place.folder))), UNASKED)
    with place.serving(command="up") as server:
        callers = Callers(server.address, turned(20_000, 7))
        callers.start()
        app = place.app()
        until(lambda: states(app).get("v2") is State.CHAMPION, seconds=200)
        until(lambda: callers.answered.get("v2", 0) > 20)
        callers.stopped.set()
        callers.join(10)
    assert callers.failed == [], "no request failed on the way"
    assert states(app)["v1"] is State.RETIRED
    second = next(version for version in app.ledger.versions(NAME) if version.label == "v2")
    acts = [(event.act, event.actor) for event in app.ledger.events() if event.subject == second.id]
    told = [act for act, _ in acts if act != "measured"]
    assert told == ["registered", "retrained", "approved", "approved", "released as canary", "released"]
    (why,) = [
        event.details["why"] for event in app.ledger.events() if event.act == "retrained" and event.subject == second.id
    ]
    assert "rows were labelled since" in why
    assert {approval.via for approval in app.releases.status(second).approvals} == {"standing consent"}
