"""v2's statistics of a version: what all workers counted of it, and of no other."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

from modelmark.serving import metrics as counts
from modelmark.serving.metrics import Metrics, key
from modelmark.serving.wire.oip_repository import READY, UNAVAILABLE, index, statistics


@dataclass(frozen=True)
class Named:
    """What is asked of a version."""

    label: str
    proven: bool = True
    waiting: str = ""


def counted(folder, pid: str, version: str, requests: int, seconds: float) -> Metrics:
    found = Metrics(folder)
    for name, amount in (("requests", requests), ("rows", 10 * requests)):
        for by in ("model", "constant"):
            found.add(key(f"modelmark_{name}_total", model="churn", version=version, served_by=by), amount)
    found.histogram(key("modelmark_request_seconds", model="churn", version=version)).observe(seconds)
    found.share()
    (folder / f"{counts.os.getpid()}.json").rename(folder / f"{pid}.json")
    return found


def told(metrics: Metrics, *versions: str):
    chosen = [(SimpleNamespace(model="churn"), SimpleNamespace(label=version)) for version in versions]
    return statistics(SimpleNamespace(metrics=metrics), chosen)


def test_all_workers_counts_are_added_by_version(tmp_path):
    counted(tmp_path, "1", "v1", 2, 0.5)
    counted(tmp_path, "2", "v2", 7, 0.25)
    here = counted(tmp_path, "3", "v1", 3, 0.25)
    (tmp_path / "3.json").unlink()  # which is this process
    first, second, third = told(here, "v1", "v2", "v3")
    assert first["inference_count"] == 100
    assert first["inference_stats"]["success"] == {"count": 10, "ns": 750_000_000}
    assert second["inference_stats"]["success"] == {"count": 14, "ns": 250_000_000}
    assert third["inference_stats"]["success"] == {"count": 0, "ns": 0}


def test_files_of_other_workers_are_not_read_again_at_once(tmp_path, monkeypatch):
    here, heard = Metrics(tmp_path), []
    monkeypatch.setattr(here, "_hear", heard.append)
    clock = iter([10.0, 10.0, 10.9, 11.0, 11.0])
    monkeypatch.setattr(counts.time, "monotonic", lambda: next(clock))
    for _ in range(3):
        here.together()
    assert len(heard) == 2


def test_the_index_tells_what_could_not_be_loaded_and_what_does_not_answer():
    version = Named("v2")
    route = SimpleNamespace(model="churn", arms=(SimpleNamespace(version=version), SimpleNamespace(version=version)))
    health = SimpleNamespace(unserved=("cats",))
    runtime = SimpleNamespace(routes={"churn": route}, health=health, ready=lambda: (True, []))
    assert [(one["name"], one["state"]) for one in index(runtime)] == [("churn", READY), ("cats", UNAVAILABLE)]
    assert [one["name"] for one in index(runtime, ready=True)] == ["churn"]
    runtime.ready = lambda: (False, ["draining"])
    assert index(runtime, ready=True) == []
    waits = Named("v3", proven=False, waiting="its server is gone")
    route.arms = (SimpleNamespace(version=waits),)
    runtime.ready = lambda: (True, [])
    assert next((one["state"], one["reason"]) for one in index(runtime)) == (UNAVAILABLE, "its server is gone")
