"""A table that DVC pins is read as pinned, or refused by name."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from modelmark.domain.errors import Conflict, Malformed, Missing
from modelmark.registry import dvc_pins
from modelmark.registry.dvc_pins import pinned

TEXT = b"a,y\n1,0\n2,1\n"


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def beside(folder: Path, name: str = "train.csv", *, data: bytes = TEXT, **out: object) -> None:
    entry = {"md5": md5(data), "hash": "md5", "size": len(data), "path": name, **out}
    (folder / f"{name}.dvc").write_text(yaml.safe_dump({"outs": [{k: v for k, v in entry.items() if v is not None}]}))


def silent(sentence: str) -> None:
    """Nobody listens."""


def test_what_dvc_does_not_keep_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(TEXT)
    assert pinned(tmp_path, "train.csv", silent) is None
    assert pinned(tmp_path, "absent.csv", silent) is None
    beside(tmp_path, "other.csv")
    assert pinned(tmp_path, "train.csv", silent) is None


def test_a_pinned_table_is_that_or_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_bytes(TEXT)
    beside(tmp_path)
    assert pinned(tmp_path, "train.csv", silent) == md5(TEXT)
    (tmp_path / "train.csv").write_bytes(TEXT + b"3,1\n")
    with pytest.raises(Conflict, match=r"not what train\.csv\.dvc pins") as refused:
        pinned(tmp_path, "train.csv", silent)
    assert refused.value.code == "TABLE_CHANGED"
    assert "dvc checkout train.csv" in (refused.value.hint or "")


@pytest.mark.parametrize("place", [".", "..", "../.."])
def test_a_lock_of_a_pipeline_pins_too(tmp_path: Path, place: str) -> None:
    base = tmp_path / "one" / "two"
    base.mkdir(parents=True)
    (base / "train.csv").write_bytes(TEXT)
    lock = (base / place).resolve()
    (lock / ".dvc").mkdir()
    out = {"path": (base / "train.csv").relative_to(lock).as_posix(), "hash": "md5", "md5": md5(TEXT)}
    (lock / "dvc.lock").write_text(
        yaml.safe_dump({"schema": "2.0", "stages": {"prepare": {"cmd": "x", "outs": [out]}}})
    )
    assert pinned(base, "train.csv", silent) == md5(TEXT)
    (base / "train.csv").write_bytes(b"other")
    with pytest.raises(Conflict, match=r"not what dvc\.lock pins"):
        pinned(base, "train.csv", silent)


def test_nothing_above_the_repository_is_asked(tmp_path: Path) -> None:
    base = tmp_path / "one"
    (base / ".dvc").mkdir(parents=True)
    (base / "train.csv").write_bytes(TEXT)
    (tmp_path / "dvc.lock").write_text("not: [read")
    assert pinned(base, "train.csv", silent) is None


@pytest.mark.parametrize("part", [1, 2, 3, 5, 1 << 20])
def test_before_dvc_3_line_ends_did_not_count(tmp_path: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dvc_pins, "_PART", part)
    windows = TEXT.replace(b"\n", b"\r\n") + b"\r"
    (tmp_path / "train.csv").write_bytes(windows)
    beside(tmp_path, data=windows.replace(b"\r\n", b"\n"), hash=None)
    assert pinned(tmp_path, "train.csv", silent) == md5(TEXT + b"\r")
    beside(tmp_path, data=windows.replace(b"\r\n", b"\n"))
    with pytest.raises(Conflict):
        pinned(tmp_path, "train.csv", silent)


def test_what_is_absent_takes_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside(tmp_path)
    monkeypatch.setattr(dvc_pins.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Missing, match="no dvc to pull it") as refused:
        pinned(tmp_path, "train.csv", silent)
    assert refused.value.code == "NO_DVC"
    assert refused.value.hint == "pip install dvc, then dvc pull train.csv.dvc"


@pytest.mark.parametrize("text", ["outs: [1]", "outs: [{path: train.csv}]", "- a", "a: [", "outs: [{md5: x, path: 3}]"])
def test_a_file_that_is_none_of_dvcs_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.csv").write_bytes(TEXT)
    (tmp_path / "train.csv.dvc").write_text(text)
    with pytest.raises(Malformed) as refused:
        pinned(tmp_path, "train.csv", silent)
    assert refused.value.code == "BAD_DVC_FILE"
