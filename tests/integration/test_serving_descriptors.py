"""A worker that runs out of file descriptors goes on answering whom it knows, and takes newcomers when it can (row F22)."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import serving_case as case
from modelmark import Client
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted
from modelmark.journal.wal.recovery import recover_all
from modelmark.serving.descriptors import KEPT
from modelmark.serving.supervisor import running


def test_descriptors_run_out_and_come_back(tmp_path: Path) -> None:
    built = case.build(tmp_path)
    case.release(built)
    ids, row = list[str](), case.row(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client, ExitStack() as opened:
        (worker,) = supervisor.processes()
        ids.append(client.predict("churn", [row]).id)
        held = len(os.listdir(f"/proc/{worker}/fd"))
        soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (held + 4, hard))
        for _ in range(40):
            opened.enter_context(socket.create_connection(("127.0.0.1", supervisor.port), timeout=5))
        until = time.monotonic() + 3  # the journal begins its second segment after two
        while time.monotonic() < until:
            ids.append(client.predict("churn", [row]).id)
        counted = client._http.get("/metrics")
        assert counted.status_code == 200
        failed = dict(re.findall(r'modelmark_background_failures_total{task="(\w+)"} (\d+)', counted.text))
        assert int(failed["metrics"]) > 0
        assert 0 < int(failed["accept"]) < 100, "ten times a second, not without end"
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
        began = time.monotonic()
        with Client(supervisor.address) as newcomer:
            ids.append(newcomer.predict("churn", [row]).id)
        assert time.monotonic() - began < 2
        assert supervisor.processes() == (worker,)
    recover_all(built.workspace.wal)
    records = [r for file in sealed_segments(built.workspace.wal) for r in read_segment(file).records]
    assert [r.id for r in records if isinstance(r, Predicted)] == ids


@pytest.mark.parametrize(
    ("soft", "hard", "allowed", "raised"),
    [
        pytest.param(256, 256, 256 - KEPT, 256, id="ulimit -n 256"),
        pytest.param(256, 20_000, 4096, 4096 + KEPT, id="the soft limit is raised"),
        pytest.param(256, 1024, 1024 - KEPT, 1024, id="as far as the hard one lets it"),
        pytest.param(50, 50, 1, 50, id="hardly any"),
    ],
)
def test_connections_leave_descriptors_for_everything_else(soft: int, hard: int, allowed: int, raised: int) -> None:
    code = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from modelmark.serving.descriptors import connections
print(connections(4096), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(allowed), str(raised)]
