"""What a job needed goes back to the system, and few records of a segment are objects at one time."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.domain import NOON
from builders.journal import journal, predicted, schema
from modelmark.cli import run
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables import compact as compaction
from modelmark.journal.tables.commits import Batch
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.query import counts
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Schema
from modelmark.steward import loop, memory
from modelmark.steward.job import FaultOwner
from modelmark.steward.serving_versions import ServingVersions
from modelmark.testing.monitoring_store import MemoryMonitoringStore

#: Threads fill the heap with small blocks; all are freed but the last, above which nothing can be cut off.
CHILD = """
import ctypes, os, sys, threading
from modelmark.steward.memory import Memory, resident, use_one_heap
use_one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
memory, start, blocks = Memory(), resident(), []
def fill():
    for _ in range(4000):
        blocks.append(libc.malloc(4000))
        libc.memset(blocks[-1], 1, 4000)
for thread in [threading.Thread(target=fill) for _ in range(4)]:
    thread.start()
    thread.join()
for block in blocks[:-1]:
    libc.free(block)
before = resident()
memory.give_back()
print(before - start, resident() - start, os.environ["ARROW_DEFAULT_MEMORY_POOL"])
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where nothing tells, nothing is done")
def test_what_threads_needed_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    held, left, pool, used = done.stdout.split()
    assert int(held) > 40 * 2**20
    assert int(left) < int(held) / 4
    assert pool == used == "system"


def test_the_loop_gives_back_after_every_job(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Noted:
        def give_back(self) -> None:
            order.append("given back")

    class Job:
        name, interval, checkpoint, owner = "one", timedelta(), "", FaultOwner.LOG

        def run(self, context: object) -> bool:
            order.append("ran")
            raise RuntimeError("also where it fails")

    monkeypatch.setattr(loop, "Memory", Noted)
    steward = loop.Steward(
        [Job(), Job()], ServingVersions(list), MemoryMonitoringStore(), lambda: NOON, log=lambda _: None
    )
    steward.step(NOON)
    assert order == ["ran", "given back"] * 2


def test_the_command_asks_for_one_heap_before_it_loads_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    class AskedError(Exception):
        pass

    def asked() -> None:
        raise AskedError

    monkeypatch.setattr(memory, "use_one_heap", asked)
    with pytest.raises(AskedError):
        run.steward()


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A sealed segment: a schema and seven predictions of one row each."""
    return journal(tmp_path, *(predicted(f"p{k}") for k in range(7)))


def test_records_are_read_from_the_bytes_that_were_verified(space: Workspace) -> None:
    (file,) = sealed_segments(space.wal)
    records = read_segment(file).records
    assert len(records) == 8
    assert isinstance(records[0], Schema)
    assert [one.id for one in records[1:]] == [f"p{k}" for k in range(7)]  # type: ignore[union-attr]
    assert records[-1] == records[7] == list(records)[-1]
    assert records == tuple(records)
    assert tuple(records) == records
    assert records != tuple(records)[1:]
    for place in (8, -9):
        with pytest.raises(IndexError):
            records[place]


def test_pieces_of_a_segment_add_up_to_all_of_it(space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "AT_ONCE", 3)
    taken: list[int] = []
    take = Batch.take

    def noted(self: Batch, name: str, records: Any, schemas: Any) -> None:
        taken.append(len(records))
        take(self, name, records, schemas)

    monkeypatch.setattr(Batch, "take", noted)
    Compactor(space).run()
    assert taken == [2, 3, 2], "of 8 records, 3 at a time, the first says how the others read"
    assert sum(counts(space).values()) == 7


def test_predictions_wait_for_whatever_tells_how_to_read_them() -> None:
    known: dict[str, Schema] = {}
    batch, one = Batch(), predicted("p")
    batch.take("predictions/x", [one], known)
    assert (batch.parts, batch.records) == ([], [one])
    known[schema().version] = schema()
    (row,) = batch.table(known).to_pylist()
    assert not any("SCHEMA_MISSING" in flag for flag in row["flags"])
    assert any(name.startswith("num_") for name in row)
