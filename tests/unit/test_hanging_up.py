"""What callers asked who have hung up is not computed, over real sockets; who stays is answered."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from test_lanes import dear, learnt

import loops
from batcher import Fake, loader
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.serving.flavours import Runs
from modelmark.serving.http.connection import Connection
from modelmark.serving.http.edge import Edge
from modelmark.serving.http.service import Service
from modelmark.serving.metrics import Metrics
from modelmark.serving.runtime import Runtime
from modelmark.serving.wire import installed

BODY = json.dumps({"rows": [{"f0": 1, "f1": 1, "f2": 1}]}).encode()
ASK = b"POST /models/churn/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


async def _all(fake: Fake, tmp_path: Path, hang_up) -> tuple[Metrics, bytes]:
    """40 callers ask for a row of 20 ms each and hang up after 20 ms, but for the last. (metrics, what that one heard)"""
    version = learnt(loader(tmp_path)(fake, deadline_ms=1500))
    with Writer(Workspace(tmp_path / "own").wal, sync=Sync.NEVER) as writer:
        metrics = Metrics(None)
        runtime = Runtime(Workspace(tmp_path), writer, metrics, verifier=lambda: None)  # type: ignore[arg-type, return-value]
        runtime.serve_only(version)
        loop = asyncio.get_running_loop()
        edge = Edge(Service(runtime, installed()), metrics, hosts=frozenset({b"localhost"}), loop=loop)
        server = await loop.create_server(lambda: Connection(edge), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        callers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(41)]
        for _, writing in callers:
            writing.write(ASK)
            await writing.drain()
        await asyncio.sleep(0.02)
        for _, writing in callers[:-1]:
            hang_up(writing)
        heard = await callers[-1][0].read(65536)
        for _, writing in callers:
            writing.close()
        server.close()
        return metrics, heard


@pytest.mark.parametrize(
    "hang_up",
    [lambda writing: writing.transport.abort(), lambda writing: writing.close(), lambda writing: writing.write_eof()],
    ids=["reset", "closed", "half-closed"],
)
def test_what_callers_asked_who_have_hung_up_is_not_computed(tmp_path: Path, hang_up) -> None:
    fake = dear()
    metrics, heard = loops.run(asyncio.wait_for(_all(fake, tmp_path, hang_up), 20))
    assert heard.startswith(b"HTTP/1.1 200")
    computed = sum(fake.sizes)
    assert metrics.counters["modelmark_abandoned_total"] >= 5
    assert computed < 41, "some had gone before their turn came"
    assert computed + metrics.counters["modelmark_abandoned_total"] >= 41
    assert fake.sizes[-1] == 1, "the one who stayed, with nobody who had gone"


def test_a_half_closed_caller_of_a_quick_model_is_answered(tmp_path: Path) -> None:
    fake = Fake(Runs.LOOP)
    metrics, _ = loops.run(asyncio.wait_for(_all(fake, tmp_path, lambda writing: writing.write_eof()), 20))
    assert sum(fake.sizes) == 41
    assert "modelmark_abandoned_total" not in metrics.counters
