"""What others on the machine see of real workers: their versions, load and memory, who ended, and how often each key asked."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.endpoint.workers_seen import EndpointSeen, endpoint_seen
from modelmark.domain.workspace import Workspace
from modelmark.serving.supervisor import running


def until(workspace: Workspace, holds, seconds: float = 20.0) -> EndpointSeen:
    end = time.monotonic() + seconds
    while not holds(seen := endpoint_seen(workspace)):
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    return seen


def test_workers_say_what_they_have_loaded_and_one_that_died_is_counted(tmp_path: Path) -> None:
    built = case.build(tmp_path, number=2)
    case.release(built)
    assert endpoint_seen(built.workspace).workers == ()
    with running(built.workspace, workers=2) as server:
        with Client(server.address) as client:
            for _ in range(5):
                client.predict("churn", [case.row(built)])
        seen = until(
            built.workspace,
            lambda s: (
                len(s.workers) == 2 and sum(w.requests for w in s.workers) == 5 and all(w.ready for w in s.workers)
            ),
        )
        assert {one.pid for one in seen.workers} == set(server.processes())
        for one in seen.workers:
            assert (one.versions, one.waiting, one.snapshot, one.hangs) == (("churn v2",), (), 1, False)
            assert one.memory is not None
            assert 20 << 20 < one.memory < 2 << 30
            assert one.busy is not None
            assert one.busy >= 0
        first = seen.workers[0].pid
        os.kill(first, signal.SIGKILL)
        later = until(
            built.workspace, lambda s: s.ended == 1 and len(s.workers) == 2 and all(w.ready for w in s.workers)
        )
        assert first not in {one.pid for one in later.workers}
    assert endpoint_seen(built.workspace).workers == ()


@pytest.mark.parametrize("data", [b"", b"[", b"{}", b"[1, 2, 3]", b'[{"a": "x"}, {}, {}]'])
def test_a_file_that_says_nothing_harms_nobody(tmp_path: Path, data: bytes) -> None:
    workspace = Workspace(tmp_path)
    place = workspace.runtime / "metrics" / "s" / f"{os.getpid()}.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    (one,) = endpoint_seen(workspace).workers
    assert (one.pid, one.ready, one.versions) == (os.getpid(), False, ())


def test_requests_are_counted_by_key_of_workers_that_ended_too(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.runtime / "metrics" / "s"
    folder.mkdir(parents=True)
    for pid, count in ((os.getpid(), 3), (2**22 + 7, 4)):  # no process has the second number
        (folder / f"{pid}.json").write_text(
            f'[{{"modelmark_key_requests_total{{key=\\"a1b2\\"}}": {count}}}, {{}}, {{}}]'
        )
    seen = endpoint_seen(workspace)
    assert (len(seen.workers), seen.ended, dict(seen.asked)) == (1, 1, {"a1b2": 7})
