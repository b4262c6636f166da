"""A subset of production data before full deployment: a version meets live traffic step by step, and no request fails of it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import serving_case as case
from modelmark.domain.release import State
from modelmark.domain.version import Version
from rollout_case import Place, Traffic, agreed, plan

#: A flavour of somebody's own, that behaves as its words say once rows are not all 0, as the row of a try is.
CODE = """
import os, time
import numpy as np
from modelmark.serving.flavours import Runs, main_file

class Scripted:
    runs = Runs.PROCESS

    def __init__(self, files, signature, *, numeric, textual):
        self.word = main_file(files).decode()

    def run(self, numbers, texts):
        answers = (numbers[:, 0] - numbers[:, 1]).reshape(-1, 1)
        if not numbers.any():
            return answers
        if self.word == "raises":
            raise ValueError("planted")
        if self.word == "dies":
            os._exit(3)
        if self.word == "nan":
            return answers * np.nan
        if self.word == "slow":
            time.sleep(0.06)
        return answers * 4 if self.word == "worse" else answers
"""


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "site"
    info = folder / "scripted-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "scripted_flavour.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelmark.flavours]\nscripted = scripted_flavour:Scripted\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))


def until(holds: Any, seconds: float, said: Any = lambda: "") -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come true within {seconds} s: {said()}"
        time.sleep(0.05)


def status(place: Place) -> str:
    return "; ".join(f"{r.version.label} {r.place}: {r.next.sentence}" for r in place.app.read_rollouts())


def test_a_good_candidate_goes_from_shadow_over_canaries_to_champion_by_itself(tmp_path: Path):
    place = Place(tmp_path / "workspace")
    one = place.champion()
    better = case.gradient_boosting(3, seed=1, trees=60, regression=True)
    two = place.candidate(2, agreed(plan(None, 0.3, 0.5)), artifact=better)
    with place.serving() as supervisor, Traffic(place, supervisor.port) as traffic, place.watched() as steward:
        until(lambda: sum(traffic.answers.values()) > 50, 20)
        place.app.rollouts.start(two, _hand())
        until(lambda: place.app.ledger.state(two.id) is State.CHAMPION, 180, lambda: status(place))
        until(lambda: traffic.answers[("v2", "champion", "model")] > 20, 10)
    assert traffic.failed == []
    assert place.acts(two) == [
        ("shadowed", "test"), ("released as canary", "steward"), ("released as canary", "steward"), ("released", "steward"),
    ]  # fmt: skip
    assert place.app.ledger.state(one.id) is State.RETIRED
    assert place.app.rollouts.going() == ()
    asked = {(version, arm): n for (version, arm, _), n in traffic.answers.items()}
    assert set(asked) == {("v1", "champion"), ("v2", "canary"), ("v2", "champion")}
    _sticky(traffic)
    assert steward is not None


def _sticky(traffic: Traffic) -> None:
    """An entity that met the canary met it from then on: it comes back to the old version never."""
    moved = [met for met in traffic.arms.values() if ("canary", "v2") in met]
    assert len(moved) > 100
    assert len([met for met in traffic.arms.values() if ("canary", "v2") not in met]) > 50


BAD = {
    "raises": ("requests failed", 0.3),
    "dies": ("requests failed", 0.3),
    "nan": ("requests failed", 0.3),
    "slow": ("too slow", 0.1),
    "worse": ("its loss is higher", 0.3),
    "worse as a shadow": ("decide otherwise", None),
}


def test_bad_candidates_are_taken_back_and_no_request_fails_of_them(tmp_path: Path, scripted: None):
    place = Place(tmp_path / "workspace")
    place.champion()
    bad: dict[str, Version] = {
        kind: place.scripted(number, agreed(plan(share)), kind.split()[0])
        for number, (kind, (_, share)) in enumerate(BAD.items(), 2)
    }
    looks = _looks(place)
    with place.serving() as supervisor, Traffic(place, supervisor.port) as traffic, place.watched():
        until(lambda: sum(traffic.answers.values()) > 50, 20)
        for kind, version in bad.items():
            begun = len(looks)
            place.app.rollouts.start(version, _hand())
            gone = lambda version=version: place.app.ledger.state(version.id) is State.ROLLED_BACK  # noqa: E731
            until(gone, 60, lambda: status(place))
            if "failed" in BAD[kind][0]:
                assert len(looks) - begun <= 10, f"{kind}: ten looks are five seconds"
            assert BAD[kind][0] in place.reason(version), kind
    assert traffic.failed == [], "the champion answers for a canary that cannot"
    assert [arm.version for arm in _route(place).arms] == [place.app.ledger.versions("churn")[0].id]
    served = Counter({key: n for key, n in traffic.answers.items() if key[1] == "canary"})
    assert {version for version, _, by in served if by == "model"} == {"v5", "v6"}, "slow and worse ones do answer"
    assert {by for version, _, by in served if version == "v1"} == {"previous_version"}
    for version in bad.values():
        assert place.acts(version)[-1][1] == "steward"


def _route(place: Place) -> Any:
    return place.app.releases.route("churn")


def _looks(place: Place) -> list[float]:
    """When the steward looked at what workers count."""
    looks: list[float] = []
    made = place.app.steward

    def steward() -> Any:
        found = made()
        quick = found._quick

        def look() -> Any:
            looks.append(time.monotonic())
            return quick()

        found._quick = look
        return found

    place.app.steward = steward
    return looks


def _hand() -> Any:
    from modelmark.governance.rollouts import Hand

    return Hand(actor="test")
