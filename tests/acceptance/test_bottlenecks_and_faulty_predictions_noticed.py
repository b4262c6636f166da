"""To-do: bottlenecks and faulty predictions are noticed: what a real endpoint answered too slowly, or wrongly, becomes an alert."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

import serving_case as case
from builders.steward import book, steward
from burning import graph
from modelmark import Client
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors, PerformanceMonitor
from modelmark.domain.contract import Serving
from modelmark.domain.metrics import Metric
from modelmark.domain.version import Feed, Signature
from modelmark.serving.supervisor import running
from modelmark.stats.bootstrap import Interval
from modelmark.stats.profile import reference
from modelmark.steward.profiler import MonitoredVersion

ASKED = 120


def test_bottlenecks_and_faulty_predictions_are_noticed(tmp_path: Path) -> None:
    agreed = case.contract(serving=Serving(deadline_ms=20_000, p99_ms=1.0))
    watch = Monitors(
        window_minutes=10.0, every_seconds=1.0, drift=DriftMonitor(cycle=Cycle.NONE),
        performance=PerformanceMonitor(min_labels=20),
    )  # fmt: skip
    agreed = case.renamed(agreed, monitors=watch, objective=case.Objective(metric=Metric.ACCURACY))
    signature = Signature(
        feeds=(Feed(graph_input="X", columns=("f0", "f1", "f2"), dtype="float32"),), score_output="probabilities"
    )
    built = case.build(tmp_path, agreed, graph(1200), signature=signature)
    case.release(built)
    draw = np.random.default_rng(0)
    with running(built.workspace) as server, Client(server.address) as client:
        rows = [dict(zip(("f0", "f1", "f2"), draw.normal(size=3).tolist(), strict=True)) for _ in range(ASKED)]
        told = [client.predict("churn", [row]) for row in rows]
        labels = [(one.id, 0, 1 - int(one.answers[0].label)) for one in told]  # each turned out the other way
        assert client.label("churn", labels) == ASKED

    train = pd.DataFrame(draw.normal(size=(2000, 3)), columns=["f0", "f1", "f2"])
    kept = reference(agreed, train, np.full((2000, 2), 0.5))
    known = Interval(estimate=0.95, low=0.93, high=0.97, n=1000, confidence=0.95)
    version = MonitoredVersion(model="churn", version=built.id, contract=agreed, reference=kept, baseline=known)
    keeper, now = steward(tmp_path, serving=[version]), datetime.now(UTC)
    opened = [alert for later in (1, 2) for alert in keeper.step(now + timedelta(minutes=later)).opened]
    said = {(alert.monitor, alert.subject): alert.sentence for alert in opened}
    assert ("service", "latency") in said, said
    faulty = [sentence for (monitor, _), sentence in said.items() if monitor == "performance"]
    assert faulty, said
    assert "0.95" in faulty[0] or "95" in faulty[0], faulty
    assert len(book(tmp_path).alerts(open_only=True)) >= 2
