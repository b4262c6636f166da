"""What surrounds the children: what is copied for them, how their ends are read, and what is asked of a source."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from builders.domain import contract, version
from modelmark.domain import errors, telemetry
from modelmark.domain.contract import ModelSource, Outputs
from modelmark.domain.metrics import Task
from modelmark.domain.suite import Suite
from modelmark.registry import (
    answers,
    landlock,
    mlflow_database,
    namespaces,
    reading,
    register,
    sandbox,
    sandbox_child,
)
from modelmark.registry.answers import REASONS, Answer, refusal
from modelmark.registry.convert import request_of
from modelmark.registry.sandbox import Limits
from modelmark.registry.user_code import apart, suite
from modelmark.registry.user_code.suite_child import Outcomes, _last_line
from modelmark.sandbox.environment import environment


def code(act: Any) -> str | None:
    try:
        act()
    except errors.ModelmarkError as error:
        return error.code
    return None


# People's own tests.


def asked(folder: Path, **changes: Any) -> Suite:
    return Suite(
        **{"folder": folder, "path": "tests", "modules": (), "seconds": 7.0, "memory_bytes": 1 << 30, **changes}
    )


def test_a_copy_leaves_out_what_is_hidden_cached_or_an_environment_and_cannot_be_written(tmp_path, monkeypatch):
    folder = tmp_path / "from"
    for name in (
        "tests/test_a.py",
        ".git/config",
        "__pycache__/x.pyc",
        "node_modules/y",
        "mlruns/z",
        "env/pyvenv.cfg",
        "env/lib",
        "data.csv",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1234")
    apart.copied(folder, tmp_path / "to")
    found = {str(p.relative_to(tmp_path / "to")): p.stat().st_mode & 0o777 for p in (tmp_path / "to").rglob("*")}
    assert found == {"tests": 0o555, "tests/test_a.py": 0o444, "data.csv": 0o444}
    assert (tmp_path / "to").stat().st_mode & 0o777 == 0o555
    for most, refused in ((8, None), (7, "TOO_LARGE")):
        monkeypatch.setattr(apart, "MOST_BYTES", most)
        assert code(lambda most=most: apart.copied(folder, tmp_path / str(most))) == refused


def test_a_suite_and_its_modules_lie_beside_the_contract(tmp_path):
    (tmp_path / "in" / "tests").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for changes, refused in (
        ({"path": "none"}, "NO_SUITE"),
        ({"path": "../out"}, "NO_SUITE"),
        ({"modules": ("m.py",)}, "NO_MODULE"),
    ):
        assert code(lambda changes=changes: suite.ChildSuites().run(asked(tmp_path / "in", **changes))) == refused


FACTS: dict[str, Any] = {"passed": 3, "skipped": 1, "failed": [{"name": "t", "why": "w"}], "uncollected": [], "network_cut": True,
                         "coverage": [{"name": "m.py", "statements": 4, "missed": 1}], "exit": 1}  # fmt: skip


def ended(folder: Path, exit_code: int | None, facts: Any = None, said: bytes = b"") -> Any:
    (folder / "output.txt").write_bytes(said)
    if facts is not None:
        (folder / "result.json").write_text(json.dumps(facts))
    return suite._run_of(exit_code, folder, 2.5, asked(folder))


def test_the_end_of_a_suite_is_read_from_its_report(tmp_path):
    found = ended(tmp_path, 0, FACTS)
    assert (found.passed, found.skipped, found.seconds, found.network_cut, found.trouble) == (3, 1, 2.5, True, "")
    assert (found.failed[0].name, found.failed[0].why) == ("t", "w")
    assert (found.coverage[0].name, found.coverage[0].statements, found.coverage[0].missed) == ("m.py", 4, 1)
    lost = ended(tmp_path, 0, FACTS | {"uncollected": ["a: E", "b: E"]})
    assert lost.trouble == "2 files could not be collected; first: a: E"
    for number, words in suite._NOTHING_RAN.items():
        assert ended(tmp_path, 0, FACTS | {"exit": number}).trouble == words


@pytest.mark.parametrize(
    ("exit_code", "said", "trouble"),
    [
        (None, b"", "the tests took longer than 7 s and were ended"),
        (-9, b"", "the tests crashed (signal SIGKILL): no output"),
        (3, b"first\nlast\n\n", "the tests crashed (exit code 3): last"),
        (0, b"", "the tests crashed (exit code 0): no output"),
    ],
)
def test_a_suite_without_a_report_says_how_it_ended(tmp_path, exit_code, said, trouble):
    assert ended(tmp_path, exit_code, said=said).trouble == trouble


def test_a_report_is_of_a_bounded_size(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    path.write_text("{}")
    monkeypatch.setattr(suite, "_RESULT_BYTES", 2)
    assert suite._facts(path) == {}
    path.write_text("{} ")
    assert suite._facts(path) is None
    path.write_text("")
    assert suite._facts(path) is None
    path.unlink()
    assert suite._facts(path) is None


def report(**is_: Any) -> SimpleNamespace:
    return SimpleNamespace(
        **{"failed": False, "skipped": False, "when": "call", "nodeid": "t", "longrepr": "one\ntwo\n", **is_}
    )


def test_a_test_fails_once_and_passes_by_its_call_alone():
    seen = Outcomes(None)
    for one in (report(when="setup"), report(), report(when="teardown"), report(skipped=True), report(failed=True),
                report(failed=True, when="teardown", longrepr="three")):  # fmt: skip
        seen.pytest_runtest_logreport(one)
    seen.pytest_collectreport(report(nodeid="f"))
    seen.pytest_collectreport(report(nodeid="f", failed=True))
    assert (seen.passed, seen.skipped, seen.failed, seen.uncollected) == (1, 1, {"t": "two"}, ["f: two"])
    crash = SimpleNamespace(reprcrash=SimpleNamespace(message="E: why\nmore"))
    assert _last_line(report(longrepr=crash)) == "E: why"
    assert _last_line(report(longrepr="")) == ""
    assert len(_last_line(report(longrepr="x" * 9999))) < 1000


# How a child ended.


@pytest.mark.parametrize(
    ("exit_code", "facts", "refused", "kind"),
    [
        (sandbox_child.NO_WALL, {}, "NO_SANDBOX", errors.NotPermitted),
        (-signal.SIGSYS, {}, "UNSAFE_ARTIFACT", errors.Rejected),
        (-signal.SIGXCPU, {}, "TOO_SLOW", errors.TimedOut),
        (-signal.SIGKILL, {}, "OUT_OF_MEMORY", errors.Rejected),
        (sandbox_child.REFUSED, {"reason": "out_of_memory"}, "OUT_OF_MEMORY", errors.Rejected),
        (sandbox_child.REFUSED, {"reason": "slow_row", "numbers": [5]}, "TOO_SLOW", errors.TimedOut),
        (sandbox_child.REFUSED, {}, "CRASHED", errors.Rejected),
        (sandbox_child.DONE, {"reason": "failed"}, "CRASHED", errors.Rejected),
        (1, {"reason": "failed"}, "CRASHED", errors.Rejected),
    ],
)
def test_each_end_has_its_error(tmp_path, exit_code, facts, refused, kind):
    (tmp_path / "result.json").write_text(json.dumps(facts))
    with pytest.raises(errors.ModelmarkError) as caught:
        sandbox._answer(exit_code, tmp_path, Limits(memory_bytes=3 << 20, seconds=9), Answer, ())
    assert (caught.value.code, type(caught.value)) == (refused, kind)
    if refused == "OUT_OF_MEMORY":
        assert caught.value.limit == "3 MiB"
    if exit_code == -signal.SIGXCPU:
        assert caught.value.limit == "9 s"
    if refused == "CRASHED":
        assert f"code {exit_code}" in caught.value.message
    if exit_code == -signal.SIGKILL:
        assert "memory" in caught.value.message


def test_a_good_end_gives_its_answer_and_a_report_is_of_a_bounded_size(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"estimator": ["A"]}))
    found = sandbox._answer(sandbox_child.DONE, tmp_path, Limits(), Answer, ())
    assert isinstance(found, Answer)
    assert found.estimator == ["A"]
    for size, there in ((answers.RESULT_BYTES, True), (answers.RESULT_BYTES + 1, False)):
        (tmp_path / "result.json").write_bytes(b"{}".ljust(size))
        assert (sandbox._result(tmp_path, Answer) is not None) is there
    (tmp_path / "result.json").write_bytes(b"")
    assert sandbox._result(tmp_path, Answer) is None


def test_the_line_about_walls_is_the_first_and_bounded():
    line = json.dumps({"seccomp": True, "landlock": 6, "left": ["network"]}).encode()
    for sent, known in (
        (line + b"\nmore", True),
        (line[:-1], False),
        (b"", False),
        (b" " * 5000 + line + b"\n", False),
    ):
        read, write = os.pipe()
        os.write(write, sent)
        os.close(write)
        walls = sandbox._told(read, time.monotonic() + 30)
        os.close(read)
        assert (walls is not None) is known, sent[:40]
        if walls is not None:
            assert walls.missing == ("process namespace",)


def test_a_childs_surroundings_hold_nothing_of_ours(monkeypatch):
    monkeypatch.setenv("TOKEN", "secret")
    found = environment()
    assert found.keys() == {
        "PATH", "LANG", "PYTHONHASHSEED", "JOBLIB_MULTIPROCESSING", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS", "ARROW_NUM_THREADS", "LOKY_MAX_CPU_COUNT", *telemetry.OFF,
    }  # fmt: skip
    assert (found["PYTHONHASHSEED"], found["OMP_NUM_THREADS"], found["JOBLIB_MULTIPROCESSING"]) == ("0", "1", "0")
    assert answers.RESULT_BYTES == 4 << 20
    limits = Limits()
    assert (limits.memory_bytes, limits.seconds, limits.file_bytes, limits.source_bytes) == (
        4 << 30,
        300,
        2 << 30,
        2 << 30,
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(reason="graph_width", numbers=[3, 2]), "the graph answers 3 numbers a row; 2 are needed"),
        (Answer(reason="not_one_answer", numbers=[4]), "the model answers 4 numbers a row; one answer a row is needed"),
        (Answer(reason="not_one_answer"), "the model answers 0 numbers a row; one answer a row is needed"),
        (Answer(reason="failed", kind="ValueError"), "the conversion ended with an error (ValueError)"),
        (Answer(reason="failed", kind="Evil"), "the conversion ended with an error (Exception)"),
        (Answer(reason="no_probabilities", names=["SVC"]), "SVC gives no probabilities"),
        (Answer(reason="no_probabilities", names=["Evil"]), f"{answers.UNKNOWN} gives no probabilities"),
        (Answer(reason="not_an_estimator"), f"the file holds no scikit-learn estimator ({answers.UNKNOWN})"),
    ],
)
def test_a_reason_is_told_in_our_words(answer, said):
    error = refusal(answer, {"SVC"}, "2 GiB")
    assert error.message == said
    assert (error.code, error.hint, error.limit) == (
        REASONS[answer.reason].code,
        REASONS[answer.reason].hint or None,
        "2 GiB",
    )


# The kernel's numbers.


def test_numbers_are_those_of_the_kernels_headers():
    assert (landlock._CREATE, landlock._ADD, landlock._RESTRICT, landlock._BENEATH) == (444, 445, 446, 1)
    assert (landlock._READ_FILE, landlock._READ_FOLDER) == (4, 8)
    assert landlock._RIGHTS == ((1, 0x1FFF), (2, 0x2000), (3, 0x4000), (5, 0x8000))
    every = (namespaces._USER, namespaces._MOUNTS, namespaces._IPC, namespaces._PROCESSES, namespaces._NETWORK)
    assert (
        every == (os.CLONE_NEWUSER, os.CLONE_NEWNS, os.CLONE_NEWIPC, os.CLONE_NEWPID, os.CLONE_NEWNET)
        if hasattr(os, "CLONE_NEWUSER")
        else every == (0x10000000, 0x00020000, 0x08000000, 0x20000000, 0x40000000)
    )
    user, mounts, ipc, processes, network = every
    world = network | processes | mounts | ipc
    assert (user | world, world, user | network, network) == namespaces._TRIES
    assert (namespaces._PRIVATE, namespaces._RECURSIVE, namespaces._READ_ONLY_MOUNT) == (0x40000, 0x4000, 1)


# What registration asks of its surroundings.


def test_the_child_is_told_what_the_contract_says():
    told = request_of(contract())
    assert told == {
        "name": "loans", "run": "converted", "object": "", "task": "binary", "classes": [0, 1], "positive": 1, "threshold": 0.5,
        "rows_per_run": 10_000,
        "inputs": [
            {"name": "age", "type": "number", "nullable": False}, {"name": "job", "type": "category", "nullable": False},
        ],
    }  # fmt: skip
    several = contract(
        model=ModelSource(source="m", task=Task.MULTICLASS), outputs=Outputs(classes=("a", "b", "c"), positive="a")
    )
    assert request_of(several)["positive"] is None


def test_the_lock_names_what_decides_answers():
    lines = register.lock().decode().splitlines()
    assert [line.partition("==")[0] for line in lines] == [
        "modelmark",
        "numpy",
        "onnx",
        "onnxruntime",
        "scikit-learn",
        "skl2onnx",
    ]
    assert all(line.partition("==")[2][0].isdigit() for line in lines)


def test_the_state_of_a_checkout(tmp_path):
    assert register.git_state(tmp_path) == (None, False)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    assert register.git_state(tmp_path) == (None, False)
    (tmp_path / "a").write_text("1")
    subprocess.run([*git, "add", "a"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "a"], check=True)
    commit, dirty = register.git_state(tmp_path)
    assert (len(commit or ""), dirty) == (40, False)
    (tmp_path / "a").write_text("2")
    assert register.git_state(tmp_path) == (commit, True)


@pytest.mark.parametrize(
    ("name", "refused"), [("m.joblib", None), ("m.ONNX", None), ("m.sav", None), ("none.pkl", "NO_MODEL")]
)
def test_a_source_is_a_file_of_a_kind_we_read(tmp_path, name, refused):
    if refused != "NO_MODEL":
        (tmp_path / name).write_text("x")
    how = SimpleNamespace(base=tmp_path)

    def opened() -> None:
        with register._source(contract(model=ModelSource(source=name, task=Task.BINARY)), how) as path:  # type: ignore[arg-type]
            assert path == tmp_path / name

    assert code(opened) == refused


def test_files_are_staged_in_their_folders_and_no_version_is_where_none_is_described(tmp_path):
    with register._staged({"a": b"1", "b/c": b"2"}) as folder:
        assert {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == {
            "a": b"1",
            "b/c": b"2",
        }
    assert not folder.exists()
    assert register.existing(tmp_path) is None
    assert version().label == "v1"


def test_a_set_up_that_came_to_its_end_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_database, "_last_migration", lambda: "abc")
    path = tmp_path / "mlflow.db"
    assert not mlflow_database._is_whole(path)
    path.touch()
    assert not mlflow_database._is_whole(path)

    def after(*statements: str) -> bool:
        path.unlink()
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()
        return mlflow_database._is_whole(path)

    runs = ("CREATE TABLE runs (id)",)
    assert after(f"PRAGMA user_version = {mlflow_database.WHOLE}", *runs)
    assert not after("PRAGMA user_version = 7", *runs)
    assert after(*runs, "INSERT INTO runs VALUES (1)")
    migrated = ("CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('abc')")
    assert after(*migrated)
    assert not after(migrated[0], "INSERT INTO alembic_version VALUES ('old')")
    assert not after(*migrated, "INSERT INTO alembic_version VALUES ('abc')")
    path.write_bytes(b"no database at all, and longer than a header of one would be" * 20)
    assert mlflow_database._is_whole(path), "not ours to replace"


@pytest.mark.parametrize(
    ("what", "shown"),
    [({"a": [1, 2]}, True), (os.system, False), ("x" * (reading._FOR_SCANNERS + 1), False)],
    ids=["names nothing", "names what is not on the list", "is larger than scanners are given"],
)
def test_scanners_are_given_small_pickles_that_ask_for_nothing_refused(
    tmp_path: Path, what: object, shown: bool
) -> None:
    (tmp_path / "p").write_bytes(pickle.dumps(what))
    streams = io.BytesIO()
    found = reading.read(str(tmp_path / "p"), 1 << 24, streams)
    assert (streams.getvalue() != b"", found["streams"] != []) == (shown, shown)
    assert bool(found["refused"]) == (what is os.system)
