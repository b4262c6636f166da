"""Fixtures that every layer shares."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres_server import Server, binaries

#: In an environment of their own: scripts/test-flavours.
collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["flavours/*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write today's answers over the golden ones")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture
def sandbox_here() -> Iterator[None]:
    """Models of this test are converted in this process: for those that it made itself, where the walls are no question."""
    from child_here import sandbox_here

    with sandbox_here():
        yield


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A PostgreSQL server of our own on a Unix socket, from Debian's binaries. In CI it is never skipped."""
    found = binaries()
    if found is None:
        reason = "PostgreSQL's server binaries are not installed (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Server.started(found, tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind; the same tests run on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    server: Server = request.getfixturevalue("postgres")
    return server.create(f"t{uuid.uuid4().hex}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium. In CI it is never skipped."""
    found = shutil.which("chromium")
    if found is None:
        reason = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    subprocess.run([found, "--version"], check=True, capture_output=True)
    return found


@pytest.fixture(scope="module")
def quick_hashes() -> Iterator[None]:
    """Passwords hashed as ever, at a thousandth of the cost: for tests that make many accounts and are not about hashing."""
    from argon2 import PasswordHasher

    from modelmark.seal import passwords

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield
