"""Metrics are put together once a second at most, however often they are asked for."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import loops
from modelmark.domain.alerts.watching import MISSED, watched_now
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.serving import runtime as module
from modelmark.serving.metrics import Metrics
from modelmark.serving.runtime import METRICS_AGE, Runtime


def test_files_are_read_and_written_once_a_second_however_often_metrics_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, made = [1000.0], []

    class Watched(Metrics):
        def exposition(self) -> bytes:
            made.append(now[0])
            return super().exposition()

    async def work() -> None:
        workspace = Workspace(tmp_path)
        with Writer(workspace.wal, sync=Sync.NEVER) as writer:
            runtime = Runtime(workspace, writer, Watched(tmp_path / "metrics"), verifier=lambda: None)  # type: ignore[arg-type, return-value]
            monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
            first = {runtime.metrics_text() for _ in range(1000)}
            assert (len(first), len(made)) == (1, 1)
            now[0] += METRICS_AGE
            runtime.metrics.add("modelmark_rows_total", 5)
            assert b"modelmark_rows_total 5" in runtime.metrics_text()
            assert len(made) == 2

    loops.run(work())


def test_an_endpoint_misses_the_steward_and_serves_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async def work() -> None:
        workspace = Workspace(tmp_path)
        with Writer(workspace.wal, sync=Sync.NEVER) as writer:
            runtime = Runtime(workspace, writer, Metrics(None), verifier=lambda: None)  # type: ignore[arg-type, return-value]
            runtime.health.sequence = 1
            assert b"modelmark_steward_seconds" not in runtime.metrics_text(), "none ever ran"
            watched_now(workspace)
            runtime.tidy()
            assert runtime.ready() == (True, [])
            gone = time.time() - 2 * MISSED
            os.utime(workspace.runtime / "steward", (gone, gone))
            for _ in range(3):
                runtime.tidy()
            fine, problems = runtime.ready()
            assert fine
            assert [problem[:14] for problem in problems] == ["nobody watches"]
            assert runtime.metrics.gauges["modelmark_steward_seconds"] == pytest.approx(2 * MISSED, abs=30)
            watched_now(workspace)
            runtime.tidy()
            assert runtime.ready() == (True, [])

    loops.run(work())
    assert capfd.readouterr().err.count("nobody watches") == 1, "told once"
