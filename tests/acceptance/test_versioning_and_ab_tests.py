"""Versioning and A/B tests: two versions on one real endpoint, an experiment from what was agreed to its verdict, by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import serving_case as case
from modelmark.contract.after_release.experiment_file import load_plan
from modelmark.domain.release import State
from modelmark.steward.jobs import experiment
from rollout_case import Place, Traffic, agreed

PLAN = """
name: {name}
model: churn
hypothesis: More trees are nearer to the truth.
arms:
  - {{name: control, version: v1, share: 0.45}}
  - {{name: trees, version: {version}, share: 0.45}}
holdback: 0.1
objective: {{measure: loss, minimum_effect: 0.05}}
guardrails:
  - {{measure: fallback, margin: 0.2}}
stop: {{max_days: 1}}
"""


def modelmark(place: Place, *words: str) -> tuple[int, Any]:
    command = [sys.executable, "-m", "modelmark", *words, "--workspace", str(place.root), "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "MODELMARK_ACTOR": "test"}
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def until(holds: Any, seconds: float, said: Any) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come true within {seconds} s: {said()}"
        time.sleep(0.1)


def test_an_experiment_goes_from_what_was_agreed_to_its_verdict_and_harm_ends_one_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(experiment, "DUTY", 0.5)  # looks follow each other sooner
    place = Place(tmp_path / "workspace")
    draw = np.random.default_rng(3).uniform(-1.5, 1.5, size=(400, 3))  # no row so far out that it decides alone
    place.rows = [{f"f{i}": float(value) for i, value in enumerate(row)} for row in draw]
    place.y_true = [float(row[0] - row[1]) for row in draw]
    one = place.champion()
    two = place.candidate(2, agreed(), artifact=case.gradient_boosting(3, seed=1, trees=300, regression=True))
    three = place.candidate(3, agreed(), artifact=case.gradient_boosting(3, seed=1, trees=2, regression=True))
    app, file = place.app, tmp_path / "experiment.yaml"

    def state(name: str) -> str:
        return app.experiments.named(name).verdict

    def seen(name: str) -> Any:
        return app.monitoring_store.checkpoint(f"experiment/{name}")

    with place.serving() as supervisor, Traffic(place, supervisor.port) as traffic, place.watched():
        until(lambda: sum(traffic.answers.values()) > 50, 20, lambda: traffic.failed)
        file.write_text(PLAN.format(name="more-trees", version="v2"))
        code, begun = modelmark(place, "experiment", "start", str(file))
        assert (code, begun["state"]) == (0, "running")
        assert app.ledger.state(two.id) is State.EXPERIMENT
        until(lambda: state("more-trees"), 40, lambda: seen("more-trees"))
        first = {entity: dict(met) for entity, met in traffic.arms.items()}
        file.write_text(PLAN.format(name="few-trees", version="v3"))
        agreed_now = load_plan(file)
        app.start_experiment(agreed_now, {arm.name: app.find(arm.version) for arm in agreed_now.arms})
        until(lambda: state("few-trees"), 40, lambda: seen("few-trees"))
        until(lambda: len(app.releases.route("churn").arms) == 1, 5, lambda: app.releases.route("churn"))
    assert traffic.failed == []
    better, harm = app.experiments.named("more-trees"), app.experiments.named("few-trees")
    assert better.verdict.startswith("better. trees is better than control: loss -")
    assert (better.ended_by, better.reason) == ("steward", "every arm is decided")
    assert harm.verdict.startswith("harm. trees does harm: loss")
    assert harm.reason == "an arm does harm"
    assert app.releases.routes.seen("churn") == one.label
    assert (app.ledger.state(two.id), app.ledger.state(three.id)) == (State.STAGED, State.ROLLED_BACK)
    arms = ("more-trees.control", "more-trees.trees")
    met = [
        sum((arm, label) in entity for arm, label in zip(arms, ("v1", "v2"), strict=True)) for entity in first.values()
    ]
    assert max(met) == 1, "an entity meets one arm, and always that"
    assert 20 < met.count(0) < 70, "a tenth is held back"
    events = [event.act for event in app.ledger.events() if event.subject == "experiment more-trees"]
    assert events == ["preregistered experiment", "began experiment", "ended experiment"]
    code, told = modelmark(place, "experiment", "report", "more-trees")
    assert (code, told["digest"], told["reading"]["finding"]) == (0, better.digest, "better")
    assert [item for item in app.verify() if item.fault] == []
    app.releases.release(two, actor="test")
    assert app.releases.routes.seen("churn") == "v2"
