"""Metrics are put together once a second at most, however often they are asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

import loops
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
