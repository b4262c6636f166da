"""Files that expand: small on disk, and refused before they fill the memory."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelmark.contract.table import read_table
from modelmark.contract.table_file import MAX_COLUMNS, MAX_LINE, require_fits
from modelmark.domain.errors import Malformed, Rejected

MB = 1_048_576


def packed(folder: Path, *pieces: tuple[bytes, int]) -> Path:
    path = folder / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for piece, times in pieces:
            for _ in range(times):
                file.write(piece)
    return path


def parquet(folder: Path, columns: dict[str, Any], **more: Any) -> Path:
    path = folder / "t.parquet"
    pq.write_table(pa.table(columns), path, **more)
    return path


def repeated(folder: Path, *, as_text: bool) -> Path:
    """One text of a megabyte, meant by 100,000 rows; as_text: what reads it is not told that they are one."""
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), pa.array(["x" * MB]))
    return parquet(folder, {"a": text, "y": pa.array(np.zeros(100_000, np.int8))}, store_schema=not as_text)


def long_runs(folder: Path) -> Path:
    """60 columns of 700,000 equal numbers: run lengths of nearly nothing."""
    column = pa.array(np.zeros(700_000, np.int64))
    return parquet(folder, {f"c{i}": column for i in range(60)}, compression="zstd")


BOMBS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "numbers of one digit": (lambda f: packed(f, (b"a,b\n", 1), (b"1,1\n" * 250_000, 12)), "TABLE_TOO_LARGE"),
    "3 GB of zeros in a line": (lambda f: packed(f, (b"a,b\n", 1), (b"0" * MB, 40)), "LINE_TOO_LONG"),
    "a header of a million columns": (lambda f: packed(f, (b"c," * 1_000_000 + b"c\n1\n", 1)), "TOO_MANY_COLUMNS"),
    "long texts": (lambda f: packed(f, (b"a,b\n", 1), ((b"x" * 1000 + b",1\n") * 1000, 300)), "TABLE_TOO_LARGE"),
    "Parquet: one text a hundred thousand times": (lambda f: repeated(f, as_text=True), "TABLE_TOO_LARGE"),
    "Parquet: one category a hundred thousand times": (lambda f: repeated(f, as_text=False), "TABLE_TOO_LARGE"),
    "Parquet: long runs": (long_runs, "TABLE_TOO_LARGE"),
    "Parquet: too many columns": (
        lambda f: parquet(f, {f"c{i}": pa.array([1]) for i in range(MAX_COLUMNS + 1)}), "TOO_MANY_COLUMNS",
    ),
    "Parquet: a list in each row": (lambda f: parquet(f, {"a": pa.array([[1, 2]])}), "NESTED_COLUMN"),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_file_that_expands_is_refused_before_it_fills_the_memory(bomb: str, tmp_path: Path):
    make, code = BOMBS[bomb]
    path = make(tmp_path)
    assert path.stat().st_size < 40 * MB
    probe = f"""
import resource, sys
from pathlib import Path
import pandas, pyarrow.parquet, pyarrow.compute
from modelmark.contract.table import read_table
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_table(Path({str(path)!r}))
except Exception as error:
    print(error.code, bool(error.limit), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
        env={**os.environ, "MODELMARK_TABLE_MB": "256"},
    )
    found, bounded, grew = done.stdout.split()
    assert (found, bounded) == (code, "True")
    assert int(grew) * 1024 < 200 * MB


def test_the_limit_can_be_raised_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = packed(tmp_path, (b"a,b\n", 1), (b"1,1\n" * 50_000, 1))
    monkeypatch.setenv("MODELMARK_TABLE_MB", "1")
    with pytest.raises(Rejected) as caught:
        read_table(path)
    assert (caught.value.code, caught.value.limit) == ("TABLE_TOO_LARGE", "1 MB")
    assert "MODELMARK_TABLE_MB" in str(caught.value.hint)
    monkeypatch.setenv("MODELMARK_TABLE_MB", "10")
    assert len(read_table(path)) == 50_000


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("before", [0, 3, MB - 2, MB, MB + 1])
def test_a_line_is_measured_across_the_pieces_it_is_read_in(before: int, extra: int, tmp_path: Path):
    path = tmp_path / "t.csv"
    head = b"a\n" + b"1" * before + b"\n"
    path.write_bytes(head + b"2" * (MAX_LINE + extra) + b"\n3\n")
    if extra <= 0:
        require_fits(path)
    else:
        with pytest.raises(Rejected) as caught:
            require_fits(path)
        assert caught.value.code == "LINE_TOO_LONG"


@pytest.mark.parametrize(
    "data",
    [b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00" + b"\x00" * 20, gzip.compress(b"a,b\n" * 1000, mtime=0)[:-9]],
    ids=["empty", "two bytes", "a bare header", "cut short"],
)
def test_a_broken_gzip_is_malformed(data: bytes, tmp_path: Path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(data)
    with pytest.raises(Malformed) as caught:
        read_table(path)
    assert caught.value.code == "MALFORMED_TABLE"


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 40 + b"PAR1", b"no table at all"])
def test_broken_parquet_is_malformed(data: bytes, tmp_path: Path):
    path = tmp_path / "t.parquet"
    path.write_bytes(data)
    with pytest.raises(Malformed) as caught:
        require_fits(path)
    assert (caught.value.code, caught.value.field) == ("MALFORMED_TABLE", "t.parquet")


def test_ordinary_tables_of_both_forms_fit(tmp_path: Path):
    path = parquet(tmp_path, {"a": ["x", None, "z"], "n": [1.5, 2.5, None], "b": [True, False, None]})
    assert read_table(path)["a"].astype(object).iloc[0] == "x"
