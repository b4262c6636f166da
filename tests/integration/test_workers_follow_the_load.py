"""Workers follow a real load: one more where requests wait, one less after calm, and no request fails."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import serving_case as case
from burning import graph
from modelmark import Client
from modelmark.domain.contract import Serving
from modelmark.domain.endpoint.worker_bounds import WorkerBounds
from modelmark.domain.endpoint.workers_now import workers_now
from modelmark.domain.version import Feed, Signature
from modelmark.serving.crew.load import Load
from modelmark.serving.supervisor import running

CALLERS, MOST_ASKED, NOTHING = 12, 1500, Load(0.0, 0.0)


def eventually(check: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def test_a_worker_comes_where_requests_wait_and_goes_after_calm_and_no_request_fails(tmp_path: Path) -> None:
    agreed = case.contract(serving=Serving(deadline_ms=20_000))
    feeds = (Feed(graph_input="X", columns=("f0", "f1", "f2"), dtype="float32"),)
    signature = Signature(feeds=feeds, score_output="probabilities")
    built = case.build(tmp_path / ".modelmark", agreed, graph(1200), signature=signature)
    case.release(built)
    heard, stop = Counter[str](), threading.Event()

    def ask(client: Client) -> None:
        while not stop.is_set() and heard.total() < MOST_ASKED:
            try:
                client.predict("churn", [case.row(built)])
                heard["answered"] += 1
            except Exception as error:  # noqa: BLE001  # counted, and none may be
                heard[type(error).__name__ + str(error)[:80]] += 1

    with running(built.workspace, workers=WorkerBounds(1, 2), calm=1.0) as supervisor:
        assert len(supervisor.workers) == 1
        clients = [Client(supervisor.address) for _ in range(CALLERS)]
        callers = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for caller in callers:
            caller.start()
        eventually(lambda: len(supervisor.workers) == 2)
        eventually(lambda: all(worker.ready.is_set() for worker in supervisor.workers))
        eventually(lambda: workers_now(built.workspace) == "2 of 1..2")
        second = supervisor.workers[1]
        eventually(lambda: (Load.heard(second.said) or NOTHING).busy > 0.2)  # connections have moved to it
        stop.set()
        for caller in callers:
            caller.join()
        eventually(lambda: len(supervisor.workers) == 1)
        with Client(supervisor.address) as last:
            for _ in range(20):
                last.predict("churn", [case.row(built)])
        for client in clients:
            client.close()
    assert set(heard) == {"answered"}, heard
    assert workers_now(built.workspace) is None
