"""How rows get to a model's process and scores back: `python bench/handing_over.py [--times 300]`.

As it is done, as msgpack through a socket, beside memory that both sides have mapped, where a byte through the socket says that
the rows lie there. The other side does nothing with them. Each line: rows of 30 numbers, microseconds of each, by their medians,
what the second saves, and that as a share of what scikit-learn takes for as many rows (100 trees). 1 where answers differ.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from modelmark.sandbox import frames
from modelmark.sandbox.frames import Run, Told

COLUMNS, MOST = 30, 20_000
SIZES = (1, 32, 256, 1024, MOST)
Ask = Callable[[Any], Any]


def by_socket() -> Ask:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        end = theirs.fileno()
        while True:
            try:
                asked = msgspec.msgpack.decode(frames.read(end), type=Run)
            except ConnectionResetError:
                os._exit(0)
            rows = np.frombuffer(asked.numbers).reshape(asked.rows, COLUMNS)
            frames.write(end, Told([asked.rows, 1], np.ascontiguousarray(rows[:, :1]).tobytes()))
    theirs.close()

    def ask(rows: Any) -> Any:
        ours.sendall(frames.packed(Run(len(rows), rows.tobytes(), [])))
        told = msgspec.msgpack.decode(frames.receive(ours), type=Told)
        return np.frombuffer(told.scores).reshape(told.shape).copy()

    return ask


def by_memory() -> Ask:
    size = 8 * MOST * (COLUMNS + 1)
    number = os.memfd_create("tensors")
    os.ftruncate(number, size)
    shared = np.frombuffer(mmap.mmap(number, size), np.float64)
    given, found = shared[: MOST * COLUMNS], shared[MOST * COLUMNS :]
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        while data := theirs.recv(4):
            count = int.from_bytes(data, "little")
            found[:count] = given[: count * COLUMNS].reshape(count, COLUMNS)[:, 0]
            theirs.sendall(b"1")
        os._exit(0)
    theirs.close()

    def ask(rows: Any) -> Any:
        given[: rows.size] = rows.ravel()
        ours.sendall(len(rows).to_bytes(4, "little"))
        ours.recv(1)
        return found[: len(rows)].reshape(-1, 1).copy()

    return ask


def estimator() -> Ask:
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(0)
    rows = draw.normal(size=(400, COLUMNS))
    model = make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=100))
    found: Ask = model.fit(rows, rows[:, 0] > 0).predict_proba
    return found


def median(ask: Ask, rows: Any, times: int) -> float:
    took = []
    for _ in range(times):
        started = time.perf_counter()
        ask(rows)
        took.append(time.perf_counter() - started)
    return statistics.median(took) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=300)
    options = parser.parse_args()
    ways = {"socket": by_socket(), "memory": by_memory()}
    model, figures, other = estimator(), {}, 0
    for size in SIZES:
        rows = np.random.default_rng(size).normal(size=(size, COLUMNS))
        other += any(not np.array_equal(ask(rows), rows[:, :1]) for ask in ways.values())
        took = {name: median(ask, rows, options.times) for name, ask in ways.items()}
        took["saves"] = took["socket"] - took["memory"]
        took["share"] = took["saves"] / median(model, rows, max(3, options.times // 20))
        figures[size] = took
        print(f"{size:>6,} rows  " + "  ".join(f"{name} {value:,.3f}" for name, value in took.items()), flush=True)
    print(json.dumps({**figures, "other": other}))
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
