"""Harmless hostile model files through the real `register`: each would leave a trace; none may."""

import contextlib
import io
import os
import pickle
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import hostile
import models
import serving_case
from modelmark.domain import errors
from modelmark.registry import convert, landlock, sandbox
from modelmark.registry.register import register
from modelmark.sandbox.environment import environment


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    with hostile.bystanders(tmp_path_factory.mktemp("hostile")) as found:
        yield found


@pytest.fixture
def folder(there):
    """Where one model file lies; it goes afterwards."""
    place = there.base / "models"
    place.mkdir()
    yield place
    shutil.rmtree(place)


#: What stops a file, where something else might stop it later.
EXPECTED = {
    "an endless loop": "TOO_SLOW", "gzip": "TOO_LARGE", "a pickle of 2 GB that is a hole": "SPARSE_FILE",
    "a graph of 9 GB that is a hole": "TOO_LARGE", "a custom operator": "CUSTOM_OPERATOR", "a pipe": "NO_MODEL",
}  # fmt: skip


@pytest.mark.parametrize("case", hostile.sample(), ids=str)
def test_a_hostile_file_is_refused_and_nobody_is_harmed(there, folder, case):
    case.write(folder / case.file, there)
    with pytest.raises((errors.Rejected, errors.TimedOut, errors.Missing)) as caught:
        register(hostile.contract_of(f"models/{case.file}"), hostile.registration(there))
    hostile.assert_never_shown(caught.value)
    assert caught.value.code == EXPECTED.get(case.name, caught.value.code) != "CRASHED"
    assert there.harmed() == []
    assert sorted(path.name for path in there.base.iterdir()) == [
        ".modelmark", "holdout.csv", "marker", "models", "train.csv"
    ]  # fmt: skip


def test_what_the_scan_refuses_is_never_opened(there, folder):
    hostile.cases()[0].write(folder / "model.pkl", there)
    with pytest.raises(errors.Rejected, match=r"asks for os\.system, .*; it was not opened"):
        register(hostile.contract_of("models/model.pkl"), hostile.registration(there))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: replace(found, feeds=(replace(found.feeds[0], columns=found.feeds[0].columns[::-1][:1] * 2),)),
        lambda found: replace(found, score_output="label"),
        lambda found: replace(found, feeds=(replace(found.feeds[0], dtype="float64"),)),
    ],
    ids=["a column twice", "another output", "another type"],
)
def test_a_child_that_lies_about_the_graph_is_not_believed(there, folder, monkeypatch, change):
    (folder / "model.onnx").write_bytes(serving_case.gradient_boosting(2))
    said = convert._signature
    monkeypatch.setattr(convert, "_signature", lambda answer: change(said(answer)))
    with pytest.raises(errors.Rejected, match="does not fit the graph"):
        register(hostile.contract_of("models/model.onnx"), hostile.registration(there))


def test_the_corpus_holds_every_kind_and_more_than_enough():
    everything = hostile.cases()
    assert len({str(case) for case in everything}) == len(everything) >= 120
    assert {case.kind for case in hostile.sample()} == {case.kind for case in everything}
    containers = {str(case).rpartition(" in ")[2] for case in hostile.sample() if case.kind == "pickle"}
    assert containers == hostile.CONTAINERS.keys()


class Calls:
    """Unpickling this calls `function(*args)`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


REQUEST = {"name": "m", "task": "binary", "classes": [0, 1], "positive": 1, "threshold": 0.5, "rows_per_run": 1000,
           "inputs": [{"name": "a", "type": "number", "nullable": False}]}  # fmt: skip


def inspected(tmp_path, payload, **limits):
    """The file straight into the child that opens it: nobody looked at it before."""
    (tmp_path / "source.bin").write_bytes(payload)
    files = {"source.bin": tmp_path / "source.bin"}
    with sandbox.run("inspect", REQUEST, files, sandbox.Limits(**limits)) as answer:
        return answer.answer


def dumped(thing, compress=0):
    data = io.BytesIO()
    joblib.dump(thing, data, compress=compress)
    return data.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        lambda m: pickle.dumps(Calls(os.system, f"touch {m}")),
        lambda m: dumped({"weights": np.arange(3), "x": Calls(os.system, f"touch {m}")}, 3),
        lambda m: dumped(np.array([Calls(os.system, f"touch {m}")], dtype=object)),
        lambda m: f"csklearn.metrics._classification\nnp\n(S'{m}'\ntR.".encode(),
    ],
    ids=["a pickle", "compressed", "an array of objects", "what a module imported"],
)
def test_the_child_holds_the_closed_list_itself(tmp_path, make):
    with pytest.raises(errors.Rejected) as caught:
        inspected(tmp_path, make(tmp_path / "marker"))
    assert caught.value.code == "UNSAFE_ARTIFACT"
    assert not (tmp_path / "marker").exists()


def test_a_memory_bomb_is_refused_and_harms_nobody(tmp_path):
    with pytest.raises(errors.Rejected) as caught:
        inspected(tmp_path, pickle.dumps(Calls(bytearray, 64 << 30)), memory_bytes=512 << 20)
    assert caught.value.code == "OUT_OF_MEMORY"
    assert caught.value.limit == "512 MiB"


def test_what_takes_too_long_is_cut_off(tmp_path):
    endless = pickle.dumps(Calls(sum, [1]))
    started = time.monotonic()
    with pytest.raises(errors.TimedOut) as caught:
        inspected(tmp_path, endless, seconds=0.0)
    assert caught.value.code == "TOO_SLOW"
    assert time.monotonic() - started < 60


def test_walls_are_told_before_the_artifact_is_looked_at(tmp_path):
    model = LogisticRegression().fit(models.frame(50, 1)[models.NUMERIC], models.frame(50, 1)["y"])
    (tmp_path / "source.bin").write_bytes(dumped(model))
    asked = []
    with sandbox.run(
        "inspect",
        REQUEST,
        {"source.bin": tmp_path / "source.bin"},
        sandbox.Limits(),
        before=lambda: asked.append(1) or set(),
    ) as answer:
        assert asked == [1]
        assert answer.walls.seccomp
        assert answer.walls.landlock == landlock.version()
        assert answer.answer.estimator == ["LogisticRegression"]


def descendants(of, but=()):
    """(pid, its status) of every process below one, from /proc; but those that were there before (a browser's, say)."""
    status = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            status[int(path.parent.name)] = dict(
                line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line
            )
    below = {of}
    for _ in range(3):
        below |= {pid for pid, found in status.items() if int(found["PPid"]) in below}
    return [(pid, status[pid]) for pid in below - {of, *but}]


def limits_of(pid):
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:47].strip() for line in lines}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_kernel_says_the_same_of_a_child_at_work(there, folder):
    """Two filters, no new privileges, hard limits: as the kernel sees the child while it runs an endless graph."""
    next(case for case in hostile.GRAPHS if case.name == "an endless loop").write(folder / "model.onnx", there)
    how = replace(hostile.registration(there), limits=sandbox.Limits(seconds=4.0, file_bytes=12345))
    before = [pid for pid, _ in descendants(os.getpid())]
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(register, hostile.contract_of("models/model.onnx"), how)
        seen = {}
        while not running.done() and not seen:
            for pid, status in descendants(os.getpid(), before):
                if status.get("Seccomp_filters", "").strip() == "2":
                    with contextlib.suppress(OSError):
                        seen = {"status": status, "limits": limits_of(pid), "net": os.readlink(f"/proc/{pid}/ns/net")}
        with pytest.raises(errors.TimedOut) as caught:
            running.result()
    assert caught.value.code == "TOO_SLOW"
    assert seen["status"]["Seccomp"].strip() == "2"
    assert seen["status"]["NoNewPrivs"].strip() == "1"
    assert seen["limits"]["Max file size"] == "12345"
    assert seen["limits"]["Max core file size"] == "0"
    assert seen["limits"]["Max address space"] != "unlimited"
    assert seen["limits"]["Max cpu time"] == "5"
    assert len(descendants(os.getpid(), before)) <= 1, "only the process that sleeps is left"


def test_a_refusal_before_ends_the_child(tmp_path):
    (tmp_path / "source.bin").write_bytes(b"x")

    def refuse():
        raise errors.Rejected("no", code="NO")

    with (
        pytest.raises(errors.Rejected, match="no"),
        sandbox.run("inspect", REQUEST, {"source.bin": tmp_path / "source.bin"}, sandbox.Limits(), before=refuse),
    ):
        pass


@pytest.fixture
def secret(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")


@pytest.mark.usefixtures("secret")
def test_the_child_inherits_no_secrets():
    assert "MLFLOW_TRACKING_TOKEN" not in environment()
