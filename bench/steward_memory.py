"""How much memory the steward holds while a journal grows, and what it gives back.

    python bench/steward_memory.py [--rows 1000000]

A workspace of two models, each a champion beside a canary, 20 numbers and 10 categories a row, a label for every twentieth
row. `modelmark steward` runs as a process of its own; what it holds (resident, from /proc) is sampled every 0.1 s while
the rows come in parts, each awaited until it is compacted, profiled and looked at, and while it then has nothing to
do. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from _scratch import scratch_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from builders.workspace import Case, Lived, contract
from modelmark.domain.catalogue.monitor_settings import Cycle, DriftMonitor, Monitors
from modelmark.domain.contract import DataType, Input
from modelmark.domain.metrics import Metric
from modelmark.domain.version import Feed, Signature, Version
from modelmark.journal.tables.query import counts
from modelmark.journal.wal.records import Labelled, Predicted, Schema
from modelmark.journal.wal.writer import Writer

NUMBERS, WORDS = [f"n{i}" for i in range(20)], [f"c{i}" for i in range(10)]
KINDS: Final = ("red", "green", "blue", "amber", "white", "black")
BATCH: Final = 2000
EVERY_S: Final = 2.0  # how often monitors look


def case(name: str, seed: int) -> Case:
    """A contract with the rows it was trained on. Nothing here ever runs the model."""
    rng, rows = np.random.default_rng(seed), 20_000
    columns = {column: rng.normal(0, 1, rows) for column in NUMBERS}
    x = pd.DataFrame(columns | {column: rng.choice(KINDS, rows) for column in WORDS})
    inputs = (
        *(Input(name=column, type=DataType.NUMBER, minimum=-10, maximum=10) for column in NUMBERS),
        *(Input(name=column, type=DataType.CATEGORY, categories=KINDS) for column in WORDS),
    )
    agreed = contract(name, inputs, metric=Metric.ROC_AUC)
    monitors = Monitors(every_seconds=EVERY_S, window_minutes=60, drift=DriftMonitor(min_rows=150, cycle=Cycle.NONE))
    scores = rng.uniform(0, 1, rows)
    return Case(
        contract=dataclasses.replace(agreed, monitors=monitors),
        artifact=b"none",
        signature=Signature(feeds=(Feed(graph_input="X", columns=tuple(NUMBERS), dtype="float32"),), score_output="p"),
        x=x,
        y=[0] * rows,
        scores=np.stack([1 - scores, scores], axis=1),
        holdout=slice(0, rows),
    )


def released(root: Path) -> list[tuple[Case, Version]]:
    """Two models, of each the first version as champion and the second as canary."""
    lived, found = Lived.at(root), []
    for place, name in enumerate(("loans", "churn")):
        for number in (1, 2):
            made = case(name, 2 * place + number)
            version = lived.register(made, number, lived.now - timedelta(hours=2))
            lived.check(made, version, lived.now - timedelta(hours=2))
            lived.release(made, version, lived.now, share=1.0 if number == 1 else 0.3)
            found.append((made, version))
    lived.app.catch_up()
    lived.app.finish()
    lived.app.database.close()
    return found


def write(writer: Writer, serving: Sequence[tuple[Case, Version]], rows: int, rng: np.random.Generator) -> None:
    """Answers of now, from each version in turn, with labels for every twentieth."""
    for start in range(0, rows, BATCH):
        _, version = serving[(start // BATCH) % len(serving)]
        size, at = min(BATCH, rows - start), time.time_ns()
        numbers, scores = rng.normal(size=(size, len(NUMBERS))), rng.uniform(size=size)
        words = rng.choice(KINDS, (size, len(WORDS))).tolist()
        records: list[Any] = [
            Predicted(
                writer.ids.next(at, 1), at, version.model, version.id.hex, "champion", "model", "", "", 1, numbers[i].tobytes(),
                words[i], [], np.array([1 - scores[i], scores[i]]).tobytes(), 150,
            )
            for i in range(size)
        ]  # fmt: skip
        records += [Labelled(one.id, 0, at, version.model, i % 2, "bench") for i, one in enumerate(records[::20])]
        writer.append_many(records)
        writer.tick()


class Watched:
    """A process, and what it holds: resident bytes, in megabytes of 2**20."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.samples: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def now(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def code(self) -> float:
        """What of it is files: the libraries' code, which the system takes back when it needs room."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssFile")) / 1024

    def peak(self) -> float:
        """Since it was asked last."""
        found, self.samples = max([*self.samples, self.now()]), []
        return found

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            self.samples.append(self.now())


def until(holds: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 1200) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert process.poll() is None, "the steward has ended"
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds without rows at the end")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    with scratch_folder() as folder:
        root = Path(folder) / "w"
        serving = released(root)
        app = Lived.at(root).app
        command = [sys.executable, "-m", "modelmark", "steward", "--dashboard-port", "0", "--workspace", str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            watched = Watched(process)
            try:
                found = measured(app, process, watched, serving, given, rng)
            finally:
                watched.close()
                process.terminate()
                process.wait(60)
    print(json.dumps(found, indent=1))


def measured(
    app: Any, process: subprocess.Popen[str], watched: Watched, serving: Sequence[tuple[Case, Version]],
    given: argparse.Namespace, rng: np.random.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Megabytes: at the start, the peak and the end of each part, the least in a while without rows."""

    def looked(after: datetime) -> bool:
        at = [app.monitoring_store.checkpoint(f"look/{model}").get("at") for model in ("loans", "churn")]
        return all(one is not None and datetime.fromisoformat(one) > after for one in at)

    def compacted(total: int, writer: Writer) -> bool:
        writer.tick()
        known = counts(app.workspace)
        return sum(known.get(f"predictions/{model}", 0) for model in ("loans", "churn")) >= total

    until(lambda: looked(datetime.now(UTC) - timedelta(seconds=2 * EVERY_S)), process)
    first, parts, size = watched.peak(), [], given.rows // given.parts
    began = time.monotonic()
    with Writer(app.workspace.wal, seal_after=0.5) as writer:
        for made, version in serving:
            writer.declare(schema(made, version))
        for part in range(1, given.parts + 1):
            write(writer, serving, size, rng)
            until(lambda: compacted(part * size, writer), process)  # noqa: B023
            until(lambda now=datetime.now(UTC) + timedelta(seconds=EVERY_S): looked(now), process)  # type: ignore[misc]
            parts.append({"peak": round(watched.peak()), "after": round(watched.now())})
    seconds = time.monotonic() - began
    watched.peak()
    time.sleep(given.idle)
    return {
        "rows": given.rows,
        "mb_at_start": round(first),
        "parts": parts,
        "mb_peak": max(part["peak"] for part in parts),
        "mb_at_rest": round(min([*watched.samples, watched.now()])),
        "mb_of_code": round(watched.code()),
        "seconds": round(seconds),
    }


def schema(made: Case, version: Version) -> Schema:
    return Schema(version.id.hex, version.model, "binary", NUMBERS, WORDS, [0, 1], 1, 0.5)


if __name__ == "__main__":
    main()
