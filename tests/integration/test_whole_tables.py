"""A table of any size takes the memory of one of its parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import serving_case as case

ROWS, TIMES, MOST = 80_000, 8, 1.15
CHILD = """
import re, sys
from pathlib import Path
from modelmark.app.usecases.predictions.predict_table import PredictTable
from modelmark.domain.workspace import Workspace
from modelmark.seal import keys
root, table = map(Path, sys.argv[1:])
workspace = Workspace(root)
use = PredictTable(workspace=workspace, verifier=lambda: keys.verifier(workspace.keys))
found = use("churn", table, table.with_suffix(".out.parquet"), progress=lambda *_: None)
peak = re.search("VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]  # getrusage counts the parent's memory too
print(found.rows, found.served_by["model"], peak)
"""


def written(path: Path, rows: int) -> Path:
    """Three numbers, and a text that nobody asks for and that makes the file large."""
    lines = [f"{at / 7},{at / 11},{at / 13},{'x' * 60}{at}\n" for at in range(100)]
    if path.suffix == ".csv":
        path.write_text("f0,f1,f2,note\n" + "".join(lines) * (rows // 100))
        return path
    one = pd.DataFrame([line.strip().split(",") for line in lines], columns=["f0", "f1", "f2", "note"])
    part = pa.Table.from_pandas(one.astype(dict.fromkeys(("f0", "f1", "f2"), float)))
    pq.write_table(
        pa.concat_tables([part] * (rows // 100)), path, row_group_size=rows, use_dictionary=False, compression="none"
    )
    return path


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_eight_times_the_rows_take_no_more_memory(tmp_path: Path, form: str) -> None:
    built = case.build(tmp_path / "served")
    case.release(built)
    peaks = []
    for times in (1, TIMES):
        table = written(tmp_path / f"{times}.{form}", ROWS * times)
        command = [sys.executable, "-c", CHILD, str(built.workspace.root), str(table)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        rows, answered, peak = map(int, said)
        assert rows == answered == ROWS * times
        peaks.append(peak)
    assert peaks[1] <= MOST * peaks[0], f"kilobytes at {ROWS} rows and at {TIMES} times as many: {peaks}"
