"""Every bench that stands behind a figure still runs, on a size that takes seconds and proves no figure."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"

#: A map of its own, gone with the test.
MAP = str(Path(tempfile.gettempdir()) / f"mutants-{os.getpid()}" / "map.json")
#: bench -> (arguments that make it small, what its output names).
SMALL = {
    "check.py": (["--rows", "700", "--fast"], "holdout"),
    "false_alarms.py": (["--problems", "1", "--processes", "1", "--sparse", "2", "--first", "1"], "refused"),
    "grpc_serving.py": (["--slices", "1", "--seconds", "0.3", "--cases", "1"], "bare grpc.aio"),
    "growth.py": (["--rows", "400", "--only", "data_contract"], "data_contract"),
    "interruptions.py": (["--points", "1", "--only", "init"], '"writes": '),
    "journal_tables.py": (["--rows", "3000", "--kills", "1"], "rows"),
    "monitoring.py": (["--rows", "6000"], "All drift and quality answers for 6,000 rows"),
    "keys.py": (["--times", "500"], "a key costs"),
    "kills.py": (["--kills", "3", "--alone", "--only", "worker", "supervisor"], "0 of "),
    "mutants.py": (
        [
            "--count",
            "3",
            "--rooms",
            "stats",
            "--only",
            "stats/holm.py",
            "--tests",
            "tests/unit/test_intervals_by_hand.py",
            "--map",
            MAP,
        ],
        "noticed 3 of 3",
    ),
    "handing_over.py": (["--times", "5"], "20,000 rows  socket"),
    "neighbours.py": (
        ["--seconds", "0.5", "--slices", "1", "--only", "answers NaN", "leaks", "crashes"],
        "crashes      neighbour_failed 0",
    ),
    "overload.py": (["--models", "20", "--factors", "5", "--seconds", "1.5", "--json"], "capacity"),
    "pages.py": (["--models", "2", "--versions", "2", "--inputs", "4", "--rows", "2000"], "pages begin within"),
    "pipelines.py": (["--rows", "300", "--only", "words with accents"], "300 rows, 0 answered otherwise"),
    "power_loss.py": (
        ["--images", "4", "--tail", "300", "--flips", "20", "--calls", "2", "--system-calls", "1"],
        '"faults": []',
    ),
    "races.py": (["--rounds", "3", "--acts", "40", "--processes", "2"], '"faults": []'),
    "sandbox.py": (["--only", "file: "], "0 got through"),
    "serving.py": (["--slices", "1", "--seconds", "0.3", "--only", "12 texts, 1 row"], "fastapi+sklearn"),
    "slow_clients.py": (["--each", "20"], "after 12 s {'heads': 0, 'bodies': 0, 'readers': 0}"),
    "soak.py": (["--minutes", "0.1", "--swaps", "1"], "1 swaps: 0 not 200, 0 lost, 0 doubled"),
    "steward_memory.py": (["--rows", "1000", "--parts", "1", "--idle", "1"], '"mb_at_rest": '),
    "whole_tables.py": (["--rows", "3000", "--slices", "1", "--seconds", "0.3", "--times", "1"], "rows peak MB"),
    "swaps.py": (["--bad", "4", "--good", "4", "--requests", "500"], "0 not 200, 0 broken, 0 not followed"),
    "tamper.py": (["--changes", "6", "--predictions", "1000"], "rewrite    caught and named: modelmark inside 6/6"),
    "laws/behaviour.py": (["--times", "40"], "Clopper-Pearson"),
    "laws/dependence.py": (["--times", "4"], "clusters of 20 rows"),
    "laws/detector.py": (["--times", "1"], "labels to a false alarm"),
    "laws/estimate.py": (["--times", "2"], "calibration, half of them, 500 labels: ok 0.000, alert 1.000"),
    "laws/experiments.py": (["--times", "2", "--looks", "5", "--processes", "1"], "right sample ratio (0.5, 0.5)"),
    "laws/explanation.py": (["--times", "8"], "permutation importance: covered"),
    "laws/fairness.py": (["--times", "2"], "(asked 0.05)"),
    "laws/few_rows.py": (["--times", "10"], "dear misses expected"),
    "laws/heavy_tails.py": (["--times", "10"], "(asked 0.025)"),
    "laws/monitors.py": (["--times", "50"], "alerts a day quiet"),
    "laws/performance.py": (["--times", "1", "--rows", "150", "--looks", "12"], "of quiet months alarm"),
    "laws/plausible.py": (["--tables", "2"], "found in 100% of tables"),
    "laws/quality.py": (["--times", "4"], "a search on clean data finds a slice"),
    "laws/rollouts.py": (["--times", "1", "--processes", "1"], "rolled back, after"),
    "laws/reuse.py": (["--times", "4"], "one of fifty passes"),
    "laws/volume.py": (["--years", "1"], "alarms a quiet year"),
}


#: It asks a real Triton, and tests/integration/test_triton_differences.py runs it where there is one.
ELSEWHERE = {"triton_differences.py"}


def test_no_bench_is_left_out():
    found = {path.relative_to(BENCH).as_posix() for path in BENCH.rglob("*.py") if not path.name.startswith("_")}
    assert found == set(SMALL) | ELSEWHERE


@pytest.mark.parametrize("bench", sorted(SMALL.keys() - {"overload.py"}))  # that one has a test of its own
def test_a_bench_runs_and_prints_its_figures(bench: str):
    arguments, said = SMALL[bench]
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, str(BENCH / bench), *arguments], cwd=ROOT, env={**os.environ, **one}, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert said in done.stdout
    if bench == "serving.py":
        figures = json.loads(done.stdout.splitlines()[-1])
        for server in ("modelmark", "bare", "fastapi+onnx", "fastapi+sklearn"):
            line = figures[f"12 texts, 1 row @ 64 | {server}"]
            assert line["errors"] == 0, (server, line)
            assert line["x_bare"] > 0, (server, line)


def test_five_times_too_much_leaves_an_endpoint_that_answers_what_it_can():
    """The short form of docs/figures.md's table: by the processor's time that the worker got, for others want it too. What
    is lost or ill formed never comes; what is slow may be another's doing, three times in a row it is ours."""
    command = [sys.executable, str(BENCH / "overload.py"), *SMALL["overload.py"][0]]
    for _ in range(3):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads(done.stdout)["20 ms"]
        for name in ("5 x", "2 x, three retries"):
            assert (found[name]["lost"], found[name]["ill_formed"]) == (0, 0), found[name]
        missed = shortfalls(found)
        if not missed:
            return
    raise AssertionError(missed)


def shortfalls(found: dict[str, dict[str, float]]) -> list[str]:
    """What an overloaded endpoint should do and did not."""
    over, back, beside = found["5 x"], found["after 5 x"], found["quiet beside noisy at 5 x"]
    wanted = {
        "few are late": all(found[n]["late"] < 0.1 * found[n]["asked"] for n in ("5 x", "2 x, three retries")),
        "most are refused": over["refused"] > 0.5 * over["asked"],
        "what can be is answered": over["goodput_per_cpu"] > 0.6,
        "nothing is computed in vain": over["rows_per_answer"] < 1.2,
        "it is over when the load is": back["answered_after"] > 0.7 * back["answered_before"],
        "a quiet caller is answered beside a noisy one": beside["quiet_answered"] > 2 * beside["noisy_answered"],
    }
    return [f"not so: {what}; {found}" for what, holds in wanted.items() if not holds]
