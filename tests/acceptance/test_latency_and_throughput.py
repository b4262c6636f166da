"""To-do: latency and throughput. The endpoint says where its time goes, and many rows cost little more than one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from statistics import median

import httpx2

from journey import NAME, Place, mixed, rows_of
from modelmark import Client

ROWS = rows_of(mixed(), "y", 50)


def seconds(work: Callable[[], object], times: int = 15) -> float:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return median(found)


def test_latency_and_throughput(released: Place) -> None:
    with released.serving("--workers", "1") as server, Client(server.address) as client:
        one = seconds(lambda: client.predict(NAME, ROWS[:1]))
        many = seconds(lambda: client.predict(NAME, ROWS))
        assert len(ROWS) / many > 3 / one, "rows a second, of requests of fifty and of one"

        url, body = f"{server.address}/models/{NAME}/predict", {"row": ROWS[0]}
        told = httpx2.post(url, json=body, headers={"server-timing": "1"}).headers["server-timing"]
        parts = {name: float(took) for name, took in re.findall(r"(\w+);dur=([\d.]+)", told)}
        assert {"parse", "queue", "model", "journal"} <= parts.keys()

        metrics = httpx2.get(f"{server.address}/metrics").text
        counted = [
            float(count) for count in re.findall(r"^modelmark_request_seconds_count\{.*\} ([\d.]+)$", metrics, re.M)
        ]
        assert sum(counted) >= 30, "every answer is in the histogram"
        (stats,) = httpx2.get(f"{server.address}/v2/models/{NAME}/stats").json()["model_stats"]
        assert stats["inference_count"] == 15 + 15 * len(ROWS) + 1
        assert stats["inference_stats"]["success"]["ns"] > 0
