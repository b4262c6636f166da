"""`modelmark predict` beside the endpoint: rows a second, and memory as tables grow: `python bench/whole_tables.py`.

The same rows of 30 numbers, of 4 numbers and 12 texts: as CSV and Parquet through one process; as requests of one row over 64
connections, and of 256 rows over 4, through one worker. Both journal. Slices alternate; the median of their ratios is
reported. Then tables of one, four and sixteen times the rows, each by a process of its own: its peak memory. Prints a table
and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _closed_loop import load
from _scratch import scratch_folder
from _serving_kinds import Kind
from serving import NUMBERS, OURS, TEXTS, servers

CHILD = """
import json, re, sys
from pathlib import Path
from modelmark.app.usecases.predictions.predict_table import PredictTable
from modelmark.domain.workspace import Workspace
from modelmark.seal import keys
root, table, out = map(Path, sys.argv[1:4])
workspace = Workspace(root)
use = PredictTable(workspace=workspace, verifier=lambda: keys.verifier(workspace.keys))
found = use(sys.argv[4], table, out, progress=lambda *_: None)
print(json.dumps({
    "rows": found.rows, "served_by": dict(found.served_by), "seconds": found.seconds,
    # not getrusage's, which begins with the memory of the process that started this one
    "peak_mb": int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
}))
"""


def rows_of(kind: Kind, count: int) -> pd.DataFrame:
    """As the requests of `serving` draw them, over and over."""
    drawn = pd.DataFrame(
        kind.rows(min(count, 5_000), np.random.default_rng(1)), columns=[name for name, _ in kind.columns]
    )
    return pd.concat([drawn] * -(-count // len(drawn)), ignore_index=True).head(count)


def predicted(root: Path, table: Path, model: str) -> dict[str, Any]:
    command = [sys.executable, "-c", CHILD, str(root), str(table), str(table.with_suffix(".out.parquet")), model]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if found["served_by"] != {"model": found["rows"]}:
        raise RuntimeError(f"not every row was answered: {found}")
    return found


def compare(kind: Kind, rows: int, slices: int, seconds: float) -> dict[str, float]:
    import serving_case as case

    figures: dict[str, list[float]] = {}
    with servers(kind, 1, {1, 256}, [OURS]) as found, scratch_folder() as scratch:
        root = Path(scratch)
        graph, _ = kind.make(root)
        built = case.build(root / "w", case.contract(inputs=kind.inputs()), graph, signature=kind.signature())
        case.release(built)
        frame = rows_of(kind, rows)
        frame.to_csv(root / "t.csv", index=False)
        frame.to_parquet(root / "t.parquet")
        server = found[OURS]
        for _ in range(slices):
            one, many = (
                load(server.port, server.messages[each], connections, seconds).rate * each
                for each, connections in ((1, 64), (256, 4))
            )
            for form in ("csv", "parquet"):
                done = predicted(root / "w", root / f"t.{form}", built.contract.name)
                rate = done["rows"] / done["seconds"]
                for name, value in (
                    (f"{form} rows/s", rate), (f"{form} x one row", rate / one), (f"{form} x 256 rows", rate / many),
                ):  # fmt: skip
                    figures.setdefault(name, []).append(value)
            figures.setdefault("endpoint rows/s, one a request", []).append(one)
            figures.setdefault("endpoint rows/s, 256 a request", []).append(many)
    return {name: statistics.median(values) for name, values in figures.items()}


def growth(rows: int, times: Sequence[int]) -> dict[str, float]:
    """Peak memory of the process, in megabytes, by rows."""
    import serving_case as case

    peaks = {}
    with scratch_folder() as scratch:
        root = Path(scratch)
        graph, _ = NUMBERS.make(root)
        built = case.build(root / "w", case.contract(inputs=NUMBERS.inputs()), graph, signature=NUMBERS.signature())
        case.release(built)
        for many in times:
            table = root / f"{many}.csv"
            rows_of(NUMBERS, rows * many).to_csv(table, index=False)
            peaks[f"{rows * many:,} rows peak MB"] = predicted(root / "w", table, built.contract.name)["peak_mb"]
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--slices", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a slice of the endpoint")
    parser.add_argument("--times", type=int, nargs="+", default=[1, 4, 16])
    options = parser.parse_args()
    started = time.perf_counter()
    found: dict[str, dict[str, float]] = {}
    for kind in (NUMBERS, TEXTS):
        found[kind.name] = compare(kind, options.rows, options.slices, options.seconds)
        print(
            f"{kind.name}: " + "  ".join(f"{name} {value:,.1f}" for name, value in found[kind.name].items()), flush=True
        )
    found["memory"] = growth(options.rows, options.times)
    print("memory: " + "  ".join(f"{name} {value:,.0f}" for name, value in found["memory"].items()))
    print(json.dumps({**found, "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
