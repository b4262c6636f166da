"""What goes on beside serving may fail: it is told, counted, and goes on; no answer and no worker suffers from it."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import loops
from builders.journal import predicted
from modelmark.domain.workspace import Workspace
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.serving import background, worker
from modelmark.serving.background import go_on
from modelmark.serving.metrics import BUCKETS, Metrics, key
from modelmark.serving.telling import tell

FAILED = "modelmark_background_failures_total"


def failures(metrics: Metrics, task: str) -> float:
    return metrics.counters.get(key(FAILED, task=task), 0.0)


def test_a_task_that_fails_is_told_once_counted_each_time_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(background, "AGAIN", 0.0)
    metrics, turns = Metrics(None), list[int]()

    async def work() -> None:
        turns.append(len(turns))
        if len(turns) < 6:
            raise OSError(24, "Too many open files")
        await asyncio.Event().wait()

    async def watched() -> None:
        task = asyncio.create_task(go_on("share", work, metrics))
        while len(turns) < 6:
            await asyncio.sleep(0)
        assert not task.done()
        task.cancel()

    loops.run(watched())
    assert failures(metrics, "share") == 5
    assert capsys.readouterr().err.count("Too many open files") == 1, "the same failure is one line in the log"


def no_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a file stands where the folder was")


def unreadable(folder: Path) -> None:
    (folder / "1.json").unlink()
    (folder / "1.json").mkdir()


def cut(folder: Path) -> None:
    (folder / "1.json").write_bytes((folder / "1.json").read_bytes()[:-5])


def of_another_shape(folder: Path) -> None:
    (folder / "1.json").write_bytes(b'[{}, {}, {"modelmark_request_seconds": [1.0, 2.0]}]')


@pytest.mark.parametrize("damage", [no_folder, unreadable, cut, of_another_shape])
def test_metrics_answer_whatever_has_become_of_their_files(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = tmp_path / "metrics"
    mine, other = Metrics(folder), Metrics(folder)
    other.add("modelmark_rows_total", 7)
    other.histogram("modelmark_request_seconds").observe(0.1)
    other.share()
    next(folder.glob("*.json")).rename(folder / "1.json")  # as another process would have left it
    mine.add("modelmark_rows_total", 1)
    assert b"\nmodelmark_rows_total 8\n" in mine.exposition()
    damage(folder)
    mine.share()
    found = mine.exposition()
    if damage is not no_folder:
        assert b"\nmodelmark_rows_total 8\n" in found, "a counter never goes backwards"
        assert f"modelmark_request_seconds_count{{}} {len(BUCKETS[:1])}".encode() in found
    assert failures(mine, "metrics") >= 1


def test_a_folder_of_counts_that_is_gone_is_made_again_and_no_workspace_is(tmp_path: Path) -> None:
    metrics = Metrics(tmp_path / "w" / "metrics")
    metrics.share()
    no_folder(tmp_path / "w" / "metrics")
    (tmp_path / "w" / "metrics").unlink()
    metrics.share()
    assert len(list((tmp_path / "w" / "metrics").glob("*.json"))) == 1
    (tmp_path / "w").rename(tmp_path / "moved")
    metrics.share()
    assert not (tmp_path / "w").exists()


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_log_that_nobody_reads_any_more_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Closed())
    tell("nobody hears this")
    monkeypatch.setattr(sys, "stderr", None)
    tell("nor this")


def test_the_journal_is_closed_whatever_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(options: worker.Options, workspace: Workspace, metrics: Metrics, writer: RenewedWriter) -> None:
        writer.append_many([predicted("0" * 32)])
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker, "_serve", breaks)
    with pytest.raises(RuntimeError, match="new thread"):
        loops.run(worker.run(worker.Options(workspace=tmp_path)))
    (segment,) = sealed_segments(Workspace(tmp_path).wal)
    assert len(read_segment(segment).records) == 1
