"""The bench of the endpoint runs, and everything it asks is answered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parents[2] / "bench" / "serving.py"


def test_the_bench_of_the_endpoint_runs():
    command = [sys.executable, str(BENCH), "--slices", "1", "--seconds", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    for connections in (1, 64):
        assert figures[f"modelmark @ {connections}"]["errors"] == 0
        assert figures[f"ratio @ {connections}"]["requests"] > 0
