"""Compaction: rows a second from the write-ahead log into Delta tables, and rows lost or doubled under repeated kill
-9.

    python bench/journal_tables.py [--rows 200000] [--kills 20]

Prints a sentence for each, then one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.query import counts, find, predictions
from modelmark.journal.tables.verification import verify_tables
from modelmark.journal.wal.records import Predicted, Schema
from modelmark.journal.wal.writer import Writer

NUMERIC, TEXT = [f"n{i}" for i in range(8)], [f"t{i}" for i in range(4)]
SCHEMA = Schema("v" * 64, "bench", "binary", NUMERIC, TEXT, [0, 1], 1, 0.5)
START, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
LOOP = """
import sys, time
from pathlib import Path
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
compactor = Compactor(Workspace(Path(sys.argv[1])))
while True:
    compactor.run(); compactor.maintain(); time.sleep(0.01)
"""


def records(ids: list[str], rng: np.random.Generator) -> list[Predicted]:
    now = time.time_ns()
    numbers = rng.normal(size=(len(ids), len(NUMERIC)))
    scores = rng.uniform(size=len(ids))
    words = rng.choice(["red", "green", "blue"], (len(ids), len(TEXT))).tolist()
    return [
        Predicted(
            id, now, "bench", "v" * 64, "champion", "model", "", "", 1, numbers[i].tobytes(), words[i], [],
            np.array([1 - scores[i], scores[i]]).tobytes(), 150,
        )
        for i, id in enumerate(ids)
    ]  # fmt: skip


def speed(root: Path, rows: int) -> dict[str, float]:
    space, rng = Workspace(root), np.random.default_rng(0)
    with Writer(space.wal) as writer:
        writer.declare(SCHEMA)
        for start in range(0, rows, 5000):
            writer.append_many(records([f"{i:032x}" for i in range(start, min(rows, start + 5000))], rng))
    wal = sum(path.stat().st_size for path in space.wal.rglob("*.seg"))
    compactor = Compactor(space)
    wall, cpu = time.perf_counter(), time.process_time()
    while compactor.run().more:
        pass
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    size = sum(path.stat().st_size for path in space.tables.rglob("*.parquet"))
    looked = []
    for i in np.random.default_rng(1).integers(0, rows, 10):
        began = time.perf_counter()
        assert len(find(space, f"{i:032x}")) == 1
        looked.append(time.perf_counter() - began)
    began = time.perf_counter()
    verified = sum(n for _, n in verify_tables(space))
    assert verified == rows == counts(space)["predictions/bench"]
    return {
        "rows": rows,
        "rows_per_s": rows / wall,
        "cpu_us_per_row": cpu / rows * 1e6,
        "wal_bytes_per_row": wal / rows,
        "table_bytes_per_row": size / rows,
        "find_ms_p50": float(np.median(looked)) * 1e3,
        "verify_s": time.perf_counter() - began,
    }


def survival(root: Path, kills: int) -> dict[str, int]:
    space, rng, chance = Workspace(root), np.random.default_rng(0), random.Random(0)
    sent: list[str] = []
    with Writer(space.wal, seal_after=0.02) as writer:
        writer.declare(SCHEMA)
        for _ in range(kills):
            process = subprocess.Popen([sys.executable, "-c", LOOP, str(root)])
            until = time.monotonic() + 0.5 + chance.uniform(0, 1)
            while time.monotonic() < until:
                ids = [f"{len(sent) + i:032x}" for i in range(100)]
                writer.append_many(records(ids, rng))
                sent += ids
                writer.tick()
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    during = counts(space).get("predictions/bench", 0)
    compactor = Compactor(space)
    while compactor.run().more:
        pass
    found = predictions(space, "bench", START, END, columns=["id"])["id"].to_pylist()
    verified = sum(rows for _, rows in verify_tables(space))
    assert verified == len(found)
    return {
        "kills": kills,
        "sent": len(sent),
        "compacted_between_kills": during,
        "lost": len(set(sent) - set(found)),
        "doubled": len(found) - len(set(found)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        fast = speed(Path(one), asked.rows)
        print(
            f"Compaction takes {fast['rows_per_s']:,.0f} rows/s ({fast['cpu_us_per_row']:.1f} µs CPU each); "
            f"{fast['table_bytes_per_row']:.0f} bytes a row in the table, {fast['wal_bytes_per_row']:.0f} in the log; "
            f"finding one id takes {fast['find_ms_p50']:.1f} ms."
        )
        safe = survival(Path(two), asked.kills)
        print(
            f"After {safe['kills']} kills: {safe['lost']} of {safe['sent']:,} rows lost, {safe['doubled']} doubled "
            f"({safe['compacted_between_kills']:,} were compacted between kills)."
        )
    print(json.dumps({"speed": fast, "survival": safe}))


if __name__ == "__main__":
    main()
