"""The user's own suite, in a real child: it passes, fails, crashes, hangs, is empty, reaches out."""

from __future__ import annotations

import dataclasses
import textwrap
import time

import pytest

import cases
import models
from modelmark.domain.catalogue.gate_settings import TestsGate
from modelmark.domain.evidence import Verdict
from modelmark.gates.runner import run_gate
from modelmark.gates.tests.gate import UserTests
from modelmark.registry.user_code.suite import ChildSuites
from modelmark.testing.gates import check_gate

FEATURES = """
    def scaled(values):
        low, high = min(values), max(values)
        return [(v - low) / (high - low) for v in values]


    def never_called():
        return 1
"""
PASSES = """
    from features import scaled


    def test_scaling_ends_at_one():
        assert scaled([1, 2, 3])[-1] == 1


    def test_the_training_table_is_there():
        assert open("train.csv").readline().startswith("income per year")
"""
FAILS = (
    PASSES
    + """

    def test_a_constant_column_scales_to_nothing():
        assert scaled([2, 2]) == [0, 0]
"""
)


def place(case, tmp_path, text=PASSES, **settings):
    """The case over a folder with a suite of that text."""
    base = tmp_path / "base"
    (base / "tests").mkdir(parents=True)
    for name in ("train.csv", "holdout.csv"):
        (base / name).write_bytes((case.base / name).read_bytes())
    (base / "features.py").write_text(textwrap.dedent(FEATURES))
    (base / "tests" / "test_features.py").write_text(textwrap.dedent(text))
    contract = dataclasses.replace(case.contract, tests="tests")
    return dataclasses.replace(case, base=base, contract=contract, suites=ChildSuites())


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return cases.case(tmp_path_factory.mktemp("plain"), models.contract(names=models.NUMERIC))


def run(case, **settings):
    return run_gate(UserTests(TestsGate(**settings)), case)


def test_the_gate_conforms_and_a_failing_test_is_found(plain, tmp_path):
    sound, broken = place(plain, tmp_path / "sound"), place(plain, tmp_path / "broken", FAILS)
    evidence = check_gate(lambda: UserTests(TestsGate()), sound, broken)
    assert "2 tests ran" in evidence.checks[0].sentence
    assert "80.0% of the 5 statements in 1 modules" in evidence.checks[2].sentence
    assert not evidence.checks[2].decides
    assert evidence.tables[0].rows == (("features.py", 5, 1, "80.0%"),)
    assert "tests" in evidence.looked_at


def test_a_failing_test_is_named_with_its_last_line(plain, tmp_path):
    evidence = run(place(plain, tmp_path, FAILS))
    check = next(c for c in evidence.checks if c.name == "every test passed")
    assert check.verdict is Verdict.FAIL
    assert check.sentence == (
        "1 of 3 tests failed: tests/test_features.py::test_a_constant_column_scales_to_nothing: "
        "ZeroDivisionError: division by zero."
    )


@pytest.mark.parametrize(
    ("text", "settings", "says"),
    [
        pytest.param("", {}, "no test ran", id="no tests"),
        pytest.param(
            "import pytest\npytestmark = pytest.mark.skip\ndef test_a(): pass", {}, "1 were skipped", id="skip"
        ),
        pytest.param("import no_such_module", {}, "No module named 'no_such_module'", id="cannot be collected"),
        pytest.param(
            "import os, signal\ndef test_a(): os.kill(os.getpid(), signal.SIGSEGV)", {}, "SIGSEGV", id="crash"
        ),
        pytest.param("import time\ndef test_a(): time.sleep(60)", {"seconds": 3.0}, "longer than 3 s", id="too slow"),
    ],
)
def test_what_cannot_run_is_not_measured(plain, tmp_path, text, settings, says):
    started = time.monotonic()
    evidence = run(place(plain, tmp_path, text), **settings)
    assert evidence.verdict is Verdict.CANNOT_TELL
    assert says in evidence.checks[0].sentence
    assert time.monotonic() - started < 30


def test_too_little_coverage_fails_where_a_least_share_is_agreed(plain, tmp_path):
    case = place(plain, tmp_path)
    assert run(case, min_coverage=0.7).verdict is Verdict.PASS
    assert run(case, min_coverage=0.9).verdict is Verdict.FAIL


def test_named_modules_count_even_when_nobody_imports_them(plain, tmp_path):
    case = place(plain, tmp_path)
    (case.base / "unused.py").write_text("a = 1\nb = 2\n")
    evidence = run(case, modules=("features.py", "unused.py"))
    assert [row[:3] for row in evidence.tables[0].rows] == [("features.py", 5, 1), ("unused.py", 2, 2)]


def test_memory_is_limited_and_nothing_of_ours_is_changed_or_reached(plain, tmp_path):
    text = """
        import os, pathlib, socket

        import pytest


        def test_memory_ends():
            with pytest.raises(MemoryError):
                bytearray(3 << 30)


        def test_no_network():
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.1", PORT), timeout=2)


        def test_the_original_is_elsewhere(tmp_path):
            assert pathlib.Path.cwd() != pathlib.Path("BASE")
            assert "MODELMARK_DATABASE" not in os.environ
            (tmp_path / "own.txt").write_text("scratch is fine")
    """
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        case = place(plain, tmp_path, text.replace("PORT", port).replace("BASE", str(tmp_path / "base")))
        before = {p: p.stat().st_mtime_ns for p in case.base.rglob("*")}
        evidence = run(case, memory_mib=2048)
    failing = next(c.sentence for c in evidence.checks if c.name == "every test passed")
    if evidence.notes:
        assert "test_no_network" in failing
        assert "no network namespace" in evidence.notes[0]
    else:
        assert evidence.verdict is Verdict.PASS, failing
    assert {p: p.stat().st_mtime_ns for p in case.base.rglob("*")} == before


def test_another_suite_is_another_digest(plain, tmp_path):
    first = run(place(plain, tmp_path / "a")).looked_at["tests"]
    assert run(place(plain, tmp_path / "b", FAILS)).looked_at["tests"] != first


def test_a_suite_outside_the_folder_is_not_run(plain, tmp_path):
    case = place(plain, tmp_path)
    case = dataclasses.replace(case, contract=dataclasses.replace(case.contract, tests="../.."))
    assert "there is no test suite '../..'" in run(case).checks[0].sentence
