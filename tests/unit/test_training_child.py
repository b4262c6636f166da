"""People's own training code in a real child: it trains, raises, hangs, leaves too much, reaches out."""

from __future__ import annotations

import contextlib
import io
import textwrap
from pathlib import Path

import joblib
import pandas as pd
import pytest

from modelmark.domain.errors import Malformed, Missing, ModelmarkError, Rejected, TimedOut
from modelmark.domain.training import Trained, Training
from modelmark.registry.user_code.training import ChildTraining

FIT = """
    import numpy as np
    from helper import WORD

    def train(table, seed):
        return {"rows": len(table), "seed": seed, "word": WORD, "drawn": float(np.random.random())}

    def raises(table, seed):
        raise ValueError("no such column")

    def hangs(table, seed):
        while True:
            pass

    def hungry(table, seed):
        return bytearray(8 << 30)

    def reaches_out(table, seed):
        import socket
        socket.create_connection(("127.0.0.1", 9), timeout=1)

    def a_file(table, seed):
        from pathlib import Path
        import os
        made = Path(os.environ["TMPDIR"]) / "model.txt"
        made.write_text("a booster's own file")
        return made
"""
COMMAND = """
    import sys
    table, out, seed = sys.argv[1:]
    from pathlib import Path
    for name in ("model.bin", "log.bin")[: int(seed)]:
        Path(out, name).write_bytes(Path(table).read_bytes()[:4])
"""
SPOIL = """
    from pathlib import Path
    Path("helper.py").unlink()
    Path("helper.py").write_text("")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    for name, text in (("fit.py", FIT), ("helper.py", "WORD = 'beside'"), ("command.py", COMMAND), ("spoil.py", SPOIL)):
        (place / name).write_text(textwrap.dedent(text))
    pd.DataFrame({"a": range(7)}).to_parquet(place / "table.parquet")
    return place


def trained(folder: Path, entry: str, *, seed: int = 1, seconds: float = 60) -> Trained:
    return ChildTraining().train(
        Training(
            folder=folder, entry=entry, table=folder / "table.parquet", seed=seed, seconds=seconds, memory_bytes=1 << 30
        )
    )


def test_a_function_gets_table_and_seed_and_its_folder(folder: Path) -> None:
    one, two, other = (trained(folder, "fit.py:train", seed=seed) for seed in (5, 5, 6))
    found = joblib.load(io.BytesIO(one.model))
    assert (found["rows"], found["seed"], found["word"]) == (7, 5, "beside")
    assert one.model == two.model, "the same seed draws the same"
    assert one.model != other.model
    assert one.name == "model.joblib"


def test_a_command_gets_places(folder: Path) -> None:
    found = trained(folder, "python command.py {train} {out} {seed}")
    assert (found.name, found.model) == ("model.bin", b"PAR1")


def test_a_file_keeps_its_ending(folder: Path) -> None:
    found = trained(folder, "fit.py:a_file")
    assert (found.name, found.model) == ("model.txt", b"a booster's own file")


@pytest.mark.parametrize(
    ("entry", "kind", "code", "said"),
    [
        ("gone.py:train", Missing, "NO_ENTRY", "no training code gone.py"),
        ("fit.py:gone", Rejected, "TRAINING_FAILED", "has no attribute 'gone'"),
        ("fit.py:raises", Rejected, "TRAINING_FAILED", "ValueError: no such column"),
        ("fit.py:hungry", Rejected, "TRAINING_FAILED", "MemoryError"),
        ("fit.py:reaches_out", Rejected, "TRAINING_FAILED", "Network is unreachable"),
        ("python command.py {train} {out} 2", Malformed, "NO_MODEL", "2 files"),
        ("python command.py {train} {out} 0", Malformed, "NO_MODEL", "0 files"),
    ],
)
def test_what_goes_wrong_is_told_in_its_own_words(
    folder: Path, entry: str, kind: type[ModelmarkError], code: str, said: str
) -> None:
    with pytest.raises(kind) as refused:
        trained(folder, entry)
    assert refused.value.code == code
    assert said in refused.value.message


def test_what_takes_too_long_is_ended(folder: Path) -> None:
    with pytest.raises(TimedOut) as refused:
        trained(folder, "fit.py:hangs", seconds=2)
    assert refused.value.field == "retraining.minutes"


def test_the_folder_stays_as_it_was(folder: Path) -> None:
    with contextlib.suppress(Rejected):  # root may write where nobody may
        trained(folder, "python spoil.py {train} {out}")
    assert (folder / "helper.py").read_text() == "WORD = 'beside'"
