"""To-do: autoscaling and caching. `serve` takes a second worker when requests wait, and gives answers again."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np

import serving_case as case
from burning import graph
from journey import Place, until
from modelmark import Client
from modelmark.client import Prediction
from modelmark.domain.contract import Serving
from modelmark.domain.endpoint.workers_now import workers_now
from modelmark.domain.version import Feed, Signature

CALLERS, MOST = 10, 3000


def gauge(address: str, name: str) -> float:
    return sum(float(value) for value in re.findall(rf"^{name} ([\d.]+)$", httpx2.get(f"{address}/metrics").text, re.M))


def timed(client: Client, row: dict[str, Any]) -> tuple[Prediction, float]:
    started = time.perf_counter()
    return client.predict("churn", [row]), time.perf_counter() - started


def test_autoscaling_and_caching(tmp_path: Path) -> None:
    feeds = (Feed(graph_input="X", columns=("f0", "f1", "f2"), dtype="float32"),)
    signature = Signature(feeds=feeds, score_output="probabilities")
    agreed = case.contract(serving=Serving(deadline_ms=20_000))
    built = case.build(tmp_path / ".modelmark", agreed, graph(1200), signature=signature)
    case.release(built)
    heard, stop = Counter[str](), threading.Event()

    def ask(seed: int, address: str) -> None:
        draw = np.random.default_rng(seed)
        with Client(address) as client:
            while not stop.is_set() and heard.total() < MOST:
                try:
                    client.predict("churn", [dict(zip(("f0", "f1", "f2"), draw.normal(size=3).tolist(), strict=True))])
                    heard["answered"] += 1
                except Exception as error:  # noqa: BLE001  # counted, and none may be
                    heard[repr(error)[:80]] += 1

    with Place(tmp_path).serving("--workers", "1..2", "--cache-mb", "8") as server:
        with Client(server.address) as client:
            fresh = [timed(client, case.row(built, value)) for value in np.linspace(0.1, 0.9, 30)]
            again = [timed(client, case.row(built, 0.25)) for _ in range(31)][1:]
        assert len({one.id for one, _ in again}) == 30, "each is a prediction of its own"
        assert len({str(one.answers) for one, _ in again}) == 1
        assert median(took for _, took in fresh) > 2 * median(took for _, took in again), "nothing is computed again"
        assert gauge(server.address, "modelmark_cache_bytes") > 0

        callers = [threading.Thread(target=ask, args=(seed, server.address)) for seed in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            until(lambda: workers_now(built.workspace) == "2 of 1..2", 30)
        finally:
            stop.set()
            for caller in callers:
                caller.join()
        assert set(heard) == {"answered"}, heard
