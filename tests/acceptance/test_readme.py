"""What the README says is run, word for word."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from modelmark.cli import demo_data

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def modelmark(line: str, folder: Path) -> str:
    words = [sys.executable, "-m", *shlex.split(line)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(400)
def test_your_own_model_goes_from_a_file_to_an_answer_as_the_readme_says(tmp_path: Path) -> None:
    train, ask = blocks("python")
    (commands,) = blocks("sh")
    *lines, up = [line for line in commands.splitlines() if not line.startswith("#")]
    assert up == "modelmark up"
    python(train, tmp_path)
    for line in lines:
        modelmark(line, tmp_path)
        if line.startswith("modelmark init"):
            demo_data.answer_for_people(tmp_path / "modelmark.yaml")
    port, dashboard = free_port(), free_port()
    words = [sys.executable, "-m", "modelmark", "up", "--port", str(port), "--dashboard-port", str(dashboard)]
    running = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        assert running.stdout is not None
        assert {running.stdout.readline().split()[1] for _ in range(2)} == {"predictions", "dashboard"}
        said = python(ask.replace(":8080", f":{port}"), tmp_path)
        assert said.startswith("v1 model 0.")
        until = time.monotonic() + 60
        seen: dict[str, object] = {}
        while time.monotonic() < until and not seen.get("traffic"):
            time.sleep(0.5)
            seen = httpx2.get(f"http://127.0.0.1:{dashboard}/api/models/biopsies").json()
        assert seen["traffic"], "the prediction never reached the dashboard"
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(40) == 0
    assert "All" in modelmark("modelmark verify", tmp_path)


def test_the_two_commands_of_the_readme_are_there() -> None:
    named = [block.strip() for block in blocks("")]
    assert [line for line in named if line.startswith("scripts/")] == ["scripts/demo", "scripts/test"]
    assert all(os.access(ROOT / line, os.X_OK) for line in ("scripts/demo", "scripts/test", ".ci/run"))
