"""Clients of other servers, asked in a process of their own: `scripts/clients` fetches them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[1] / ".clients"


def asked(client: str, script: str, *arguments: str) -> Any:
    """What a script that uses the client prints, from JSON. In CI it is never skipped."""
    if not (FOLDER / client).is_dir():
        reason = f"{client} is not there: scripts/clients fetches it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, "PYTHONPATH": str(FOLDER / client)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
