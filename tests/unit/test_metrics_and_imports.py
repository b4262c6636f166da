"""Counters of several workers, and what a worker does not load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelmark import Client
from modelmark.domain.errors import NotYet, Rejected
from modelmark.serving.metrics import BUCKETS, Metrics, key, render

ROWS = key("modelmark_rows_total", model="churn")
SECONDS = key("modelmark_request_seconds", model="churn")


def counted(rows: int, seconds: float, sequence: int) -> Metrics:
    metrics = Metrics(None)
    metrics.add(ROWS, rows)
    metrics.histogram(SECONDS).observe(seconds)
    metrics.gauges["modelmark_snapshot_sequence"] = metrics.gauges["modelmark_steward_seconds"] = sequence
    return metrics


def test_workers_add_up_and_the_one_furthest_behind_names_the_snapshot():
    text = render([counted(3, 0.0007, 8).sample(), counted(4, 99.0, 7).sample()]).decode()
    assert 'modelmark_rows_total{model="churn"} 7' in text
    assert "modelmark_snapshot_sequence 7" in text
    assert "modelmark_steward_seconds 8" in text
    assert 'modelmark_request_seconds_bucket{model="churn",le="0.001"} 1' in text
    assert 'modelmark_request_seconds_bucket{model="churn",le="+Inf"} 2' in text
    assert 'modelmark_request_seconds_count{model="churn"} 2' in text


@pytest.mark.parametrize("edge", BUCKETS)
def test_a_time_on_the_edge_belongs_to_its_bucket(edge):
    metrics = Metrics(None)
    metrics.histogram(SECONDS).observe(edge)
    assert f'le="{edge}"}} 1' in metrics.exposition().decode()


def test_a_dead_workers_counts_stay_and_its_gauges_go(tmp_path):
    dead, living = counted(3, 0.1, 1), counted(4, 0.1, 9)
    living.folder = dead.folder = tmp_path
    dead.share()
    (path,) = tmp_path.glob("*.json")
    path.rename(tmp_path / f"{2**22 + 1}.json")  # beyond the largest process id
    text = living.exposition().decode()
    assert 'modelmark_rows_total{model="churn"} 7' in text
    assert "modelmark_snapshot_sequence 9" in text


def test_prometheus_can_read_it():
    parser = pytest.importorskip("prometheus_client.parser")
    families = list(parser.text_string_to_metric_families(counted(3, 0.1, 1).exposition().decode()))
    assert {f.name for f in families} >= {"modelmark_rows", "modelmark_request_seconds"}


def loaded_by(module: str) -> set[str]:
    child = f"import sys, {module}; print(' '.join({{m.partition('.')[0] for m in sys.modules}}))"
    return set(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_does_nothing():
    assert loaded_by("modelmark").isdisjoint({"msgspec", "numpy", "httpx2", "pydantic"})


def test_a_worker_is_lean():
    heavy = {"pandas", "sklearn", "pydantic", "mlflow", "onnx", "starlette", "sqlalchemy", "scipy", "typer", "httpx2"}
    assert loaded_by("modelmark.serving.worker").isdisjoint(heavy)


def test_a_client_says_what_is_wrong_before_and_after_sending():
    with Client("http://127.0.0.1:9", timeout=2) as client:
        assert not client.ready()
        with pytest.raises(NotYet, match="cannot reach"):
            client.predict("churn", [{"a": 1}])
        with pytest.raises(Rejected):
            client.predict("churn", [{"a": float("nan")}])
