"""A flavour that needs Python code runs in a process of its own, and takes only that process down."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.contract import Fallback, FallbackKind, Outputs, Serving
from modelmark.domain.errors import OutputInvalid
from modelmark.domain.metrics import Task
from modelmark.domain.version import Signature
from modelmark.sandbox.frames import Build
from modelmark.sandbox.unpacked import Unpacked, remove_left
from modelmark.serving import isolated as isolated_module
from modelmark.serving.flavours import Model, Runs
from modelmark.serving.isolated import QUARANTINE, STRIKES, ChildFailed, Isolated, Quarantined
from modelmark.serving.supervisor import running
from modelmark.testing.flavours import check_flavour

CODE = """
import os, sys, time
import numpy as np
from modelmark.serving.flavours import Runs, main_file

KEPT = []

class Scripted:
    runs = Runs.PROCESS

    def __init__(self, files, signature, *, numeric, textual):
        self.factor = float(main_file(files).decode().removeprefix("factor:"))
        print("built, and talking on standard output")

    def run(self, numbers, texts):
        first = numbers[0, 0]
        if first == 7:
            raise ValueError("planted")
        if first == 8:
            os._exit(3)
        if first == 9:
            time.sleep(60)
        if first == 11:
            KEPT.append(bytearray(os.urandom(1 << 20) * 10))
        if first == 10:
            return np.full((len(numbers), 1), float(os.getpid()))
        return numbers[:, :1] * self.factor + sum(map(len, texts))
"""
SILENT = Signature(feeds=(), score_output="value")


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The flavour `scripted`, installed for this process and those it starts."""
    folder = tmp_path / "site"
    info = folder / "scripted-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "scripted_flavour.py").write_text(CODE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[modelmark.flavours]\nscripted = scripted_flavour:Scripted\n")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def isolated(factor: bytes = b"factor:2.0", patience: float = 5.0, textual=()) -> Isolated:
    model = Model("scripted", {"factor.txt": factor}, SILENT)
    return Isolated(model, numeric=["a", "b"], textual=textual, patience=patience)


def pid(flavour: Isolated) -> int:
    return int(flavour.run(np.array([[10.0, 0]]), [])[0, 0])


def lives(number: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(number)], capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def test_it_keeps_the_conventions_of_every_flavour(scripted):
    def kind(files, signature, *, numeric, textual):
        return Isolated(Model("scripted", files, signature), numeric=numeric, textual=textual, patience=5.0)

    numbers = np.array([[1.0, 2.0], [3.0, 4.0]])
    given = {"numeric": ["a", "b"], "textual": ["t"], "numbers": numbers, "texts": ["", ""], "width": 1}
    found = check_flavour(kind, {"factor.txt": b"factor:2.0"}, SILENT, **given)
    assert found.tolist() == [[2.0], [6.0]]


def test_it_runs_in_another_process_which_ends_with_it(scripted):
    flavour = isolated()
    number = pid(flavour)
    assert number != os.getpid()
    assert lives(number)
    assert flavour.runs is Runs.PROCESS
    del flavour
    gc.collect()
    assert not lives(number)


def test_what_it_raises_is_raised_and_the_process_stays(scripted):
    flavour = isolated()
    number = pid(flavour)
    with pytest.raises(ChildFailed, match="ValueError: planted"):
        flavour.run(np.array([[7.0, 0]]), [])
    assert pid(flavour) == number


def test_a_process_that_dies_is_replaced_at_the_next_run(scripted):
    flavour = isolated()
    number = pid(flavour)
    with pytest.raises(ChildFailed):
        flavour.run(np.array([[8.0, 0]]), [])
    assert flavour.run(np.array([[1.0, 0]]), []).tolist() == [[2.0]]
    assert pid(flavour) != number


def test_a_run_that_takes_too_long_ends_its_process(scripted):
    flavour = isolated(patience=0.5)
    number = pid(flavour)
    started = time.monotonic()
    with pytest.raises(ChildFailed, match="timed out"):
        flavour.run(np.array([[9.0, 0]]), [])
    assert time.monotonic() - started < 5
    assert not lives(number)
    assert flavour.run(np.array([[1.0, 0]]), []).tolist() == [[2.0]]


def test_three_ends_put_it_in_quarantine_and_time_lets_it_out(scripted):
    now = [0.0]
    model = Model("scripted", {"factor.txt": b"factor:2.0"}, SILENT)
    flavour = Isolated(model, numeric=["a", "b"], textual=(), patience=5.0, clock=lambda: now[0])
    for _ in range(STRIKES):
        with pytest.raises(ChildFailed, match="did not answer"):
            flavour.run(np.array([[8.0, 0]]), [])
    with pytest.raises(Quarantined, match="ended 3 times; it is tried again in 120 s"):
        flavour.run(np.array([[1.0, 0]]), [])
    now[0] = QUARANTINE
    assert flavour.run(np.array([[1.0, 0]]), []).tolist() == [[2.0]]


def test_one_that_leaks_is_replaced_between_runs_and_no_run_fails(scripted, monkeypatch):
    monkeypatch.setattr(isolated_module, "GROWTH", 60 << 20)
    monkeypatch.setattr(isolated_module, "LOOK", 0.0)
    flavour = isolated()
    first, seen, until = pid(flavour), set(), time.monotonic() + 60
    while len(seen) < 3:
        assert time.monotonic() < until, "it was not replaced"
        assert flavour.run(np.array([[11.0, 0]]), [])[0, 0] == 22.0
        seen.add(pid(flavour))
    assert not lives(first)
    assert not flavour._ended, "a leak is no strike"


def test_a_leak_is_kept_where_no_other_process_can_be_started(scripted, monkeypatch):
    monkeypatch.setattr(isolated_module, "GROWTH", 10 << 20)
    monkeypatch.setattr(isolated_module, "LOOK", 0.0)
    flavour = isolated()
    first = pid(flavour)
    monkeypatch.setattr(flavour, "_build", Build("nothing", [], SILENT, [], []))
    for _ in range(8):
        assert flavour.run(np.array([[11.0, 0]]), [])[0, 0] == 22.0
        if flavour._next is not None:
            flavour._next.join()
    assert pid(flavour) == first


def test_folders_of_killed_workers_are_removed_at_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "from modelmark.sandbox.unpacked import Unpacked\nprint(Unpacked({'a/b.py': b'1'}).path, flush=True)\ninput()"
    )
    held, killed = (
        subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    )  # fmt: skip
    try:
        paths = [Path(one.stdout.readline().strip()) for one in (held, killed)]
        assert all((path / "a" / "b.py").read_bytes() == b"1" for path in paths)
        killed.kill()
        killed.wait()
        (tmp_path / "modelmark-model-link").symlink_to(paths[0])
        mine = Unpacked({"c": b"2"})
        assert [path.exists() for path in paths] == [True, False]
        mine.remove()
        assert not mine.path.exists()
        assert remove_left() == 0
        assert paths[0].exists()
    finally:
        held.kill()
        held.wait()
    assert remove_left() == 1


def test_one_that_cannot_be_built_says_why(scripted):
    with pytest.raises(ChildFailed, match="could not convert string to float"):
        isolated(b"no number")


def test_a_worker_serves_it_and_survives_it(scripted, tmp_path):
    agreed = case.contract(
        task=Task.REGRESSION,
        inputs=case.numbers(2),
        outputs=Outputs(minimum=-1000, maximum=1e9),
        serving=Serving(deadline_ms=1500),
    )
    files = {"factor.txt": b"factor:2.0"}
    built = case.build(tmp_path / "w", agreed, signature=SILENT, flavour="scripted", files=files)
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:

        def ask(value: float) -> float:
            return client.predict("churn", [{"f0": value, "f1": 0.0}]).answers[0].value

        worker, child = supervisor.processes(), ask(10)
        assert ask(3) == 6.0
        assert int(child) not in (*worker, os.getpid())
        for bad in (7, 8):
            with pytest.raises(OutputInvalid):
                ask(bad)
        assert ask(4) == 8.0
        assert supervisor.processes() == worker, "the worker lived through it"
        last = int(ask(10))
        assert last != child
    time.sleep(0.2)
    assert not lives(last), "the child ends with its worker"


def test_a_hanging_one_is_covered_by_the_fallback_in_time(scripted, tmp_path):
    agreed = case.contract(
        task=Task.REGRESSION,
        inputs=case.numbers(2),
        outputs=Outputs(minimum=-1000, maximum=1e9),
        serving=Serving(deadline_ms=400),
        fallback=(Fallback(kind=FallbackKind.CONSTANT, value=1.0),),
    )
    built = case.build(
        tmp_path / "w", agreed, signature=SILENT, flavour="scripted", files={"factor.txt": b"factor:2.0"}
    )
    case.release(built)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        started = time.monotonic()
        found = client.predict("churn", [{"f0": 9.0, "f1": 0.0}])
        assert (found.served_by, time.monotonic() - started < 2) == ("constant", True)
        assert client.predict("churn", [{"f0": 1.0, "f1": 0.0}]).served_by == "constant", "it still hangs"
        until = time.monotonic() + 15
        while client.predict("churn", [{"f0": 1.0, "f1": 0.0}]).served_by != "model":
            assert time.monotonic() < until, "its process was not replaced"
            time.sleep(0.2)
