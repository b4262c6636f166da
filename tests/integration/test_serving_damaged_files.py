"""Damaged keys, snapshots and version folders change nothing for what serves, not even for a worker that starts anew."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import serving_case as case
from modelmark import Client
from modelmark.domain.errors import ModelmarkError, Tampered
from modelmark.domain.version import ARTIFACT, CONTRACT, MARK
from modelmark.seal import keys
from modelmark.seal.public import OneKey
from modelmark.serving.shared_folder import SharedFolder
from modelmark.serving.supervisor import Supervisor, running


def eventually(check: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def answers(client: Client, built: case.Built) -> str | None:
    try:
        return client.predict("churn", [case.row(built)]).version
    except (ModelmarkError, OSError):
        return None


def problems(client: Client) -> list[str]:
    try:
        return list(client._http.get("/v2/health/ready").json()["problems"])
    except Exception:  # noqa: BLE001  # the worker was killed just now
        return ["nobody answers"]


def metric(client: Client, name: str) -> float:
    found = re.search(rf"^{name}(?:{{[^}}]*}})? ([\d.e+-]+)$", client._http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def restarted(supervisor: Supervisor, client: Client, built: case.Built) -> None:
    """Kill the worker; another one answers."""
    (victim,) = supervisor.processes()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: supervisor.processes() not in ((), (victim,)))
    eventually(lambda: answers(client, built) is not None)


def _key(built: case.Built) -> None:
    (built.workspace.keys / keys.PUBLIC).write_bytes(b"-----BEGIN PUBLIC KEY-----\ngarbage\n")


def _snapshot(built: case.Built) -> None:
    built.workspace.snapshot.write_bytes(b'{"payloadType": "garbage')


def _no_snapshot(built: case.Built) -> None:
    built.workspace.snapshot.unlink()


def _folder(built: case.Built) -> None:
    for name in (ARTIFACT, CONTRACT, MARK):
        (built.folder / name).write_bytes(b"\0garbage")


def _everything(built: case.Built) -> None:
    _key(built)
    _snapshot(built)
    _folder(built)


DAMAGES = [_key, _snapshot, _no_snapshot, _folder, _everything]


def test_damage_changes_nothing_also_for_a_worker_that_starts_and_heals(tmp_path: Path) -> None:
    built = case.build(tmp_path / "w")
    case.release(built, sequence=5)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        eventually(lambda: problems(client) == [])
        shutil.copytree(tmp_path / "w", tmp_path / "sound")
        for damage in DAMAGES:
            damage(built)
            restarted(supervisor, client, built)
            assert answers(client, built) == "v1", damage.__name__
            assert client.ready(), damage.__name__
            eventually(lambda: problems(client) != [])
            eventually(lambda: metric(client, "modelmark_unbelieved") >= 1)
            for path in (built.workspace.keys, built.folder):
                shutil.copytree(tmp_path / "sound" / path.relative_to(tmp_path / "w"), path, dirs_exist_ok=True)
            shutil.copy(tmp_path / "sound" / built.workspace.snapshot.name, built.workspace.snapshot)
            eventually(lambda: problems(client) == [])
            assert answers(client, built) == "v1"


def test_a_damaged_key_and_a_new_snapshot_do_not_stop_serving(tmp_path: Path) -> None:
    """Each worker used to die of the key when the snapshot file changed, for good."""
    built = case.build(tmp_path)
    case.release(built, sequence=5)
    with running(built.workspace) as supervisor, Client(supervisor.address) as client:
        before = supervisor.processes()
        sound = (built.workspace.keys / keys.PUBLIC).read_bytes()
        case.release(case.build(tmp_path, number=2), sequence=6)
        _key(built)
        eventually(lambda: any("public key" in p for p in problems(client)))
        eventually(lambda: answers(client, built) == "v2")
        assert supervisor.processes() == before
        (built.workspace.keys / keys.PUBLIC).write_bytes(sound)
        eventually(lambda: problems(client) == [])


def test_a_worker_that_starts_follows_no_older_snapshot_than_was_ever_served(tmp_path: Path) -> None:
    old, new = case.build(tmp_path), case.build(tmp_path, number=2)
    case.release(old, sequence=4)
    with running(old.workspace) as supervisor, Client(supervisor.address) as client:
        eventually(lambda: answers(client, old) == "v1")
        case.release(new, sequence=5)
        eventually(lambda: answers(client, old) == "v2")
        case.release(old, sequence=4)
        restarted(supervisor, client, old)
        assert answers(client, old) == "v2"
        eventually(lambda: any("older than 5" in p for p in problems(client)))
    with running(old.workspace) as supervisor, Client(supervisor.address) as client:
        assert answers(client, old) == "v2", "nor after all of it was started anew"


def test_a_new_snapshot_whose_version_is_damaged_leaves_the_last_whole_one_to_a_worker_that_starts(
    tmp_path: Path,
) -> None:
    old, new = case.build(tmp_path), case.build(tmp_path, number=2)
    case.release(old, sequence=4)
    with running(old.workspace) as supervisor, Client(supervisor.address) as client:
        eventually(lambda: answers(client, old) == "v1")
        _folder(new)
        case.release(new, sequence=5)
        eventually(lambda: any("does not load" in p for p in problems(client)))
        restarted(supervisor, client, old)
        assert answers(client, old) == "v1"


def test_a_start_with_a_key_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    built = case.build(tmp_path)
    case.release(built)
    _key(built)
    words = [sys.executable, "-m", "modelmark", "serve", "--port", "0", "--workspace", str(tmp_path)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODELMARK_")}
    done = subprocess.run(words, env=kept, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1), done.stderr
    assert "mark.pub is not a public key" in done.stderr
    done = subprocess.run([*words, "--json"], env=kept, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["error"]["code"] == "BAD_PUBLIC_KEY"


def test_two_supervisors_of_one_workspace_leave_each_other_s_counts_alone(tmp_path: Path) -> None:
    built = case.build(tmp_path)
    case.release(built)
    with running(built.workspace) as first, Client(first.address) as client:
        eventually(lambda: answers(client, built) == "v1")
        eventually(lambda: metric(client, "modelmark_rows_total") >= 1)
        with running(built.workspace) as second, Client(second.address) as other:
            assert metric(other, "modelmark_rows_total") == 0
            eventually(lambda: answers(other, built) == "v1")
        counted = metric(client, "modelmark_rows_total")
        answers(client, built)
        eventually(lambda: metric(client, "modelmark_rows_total") == counted + 1)


def test_a_folder_of_counts_goes_with_its_supervisor_or_with_the_next(tmp_path: Path) -> None:
    alive = SharedFolder(tmp_path)
    (tmp_path / "of-dead").mkdir()
    (tmp_path / "of-dead" / ".lock").touch()
    (tmp_path / "123.msgpack").touch()
    (tmp_path / "of-nobody").mkdir()
    os.utime(tmp_path / "of-nobody", (0, 0))
    (tmp_path / "of-somebody").mkdir()  # just being made
    another = SharedFolder(tmp_path)
    assert set(tmp_path.iterdir()) == {alive.path, another.path, tmp_path / "of-somebody"}
    (tmp_path / "of-somebody").rmdir()
    another.close()
    alive.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found", [b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_key_is_read_once_and_what_becomes_of_its_file_is_told(tmp_path: Path, found: bytes) -> None:
    keys.signer(tmp_path)
    key = OneKey(tmp_path)
    known = key()
    (tmp_path / keys.PUBLIC).write_bytes(found)
    assert key() is known
    assert "damaged" in str(key.problem())
    with pytest.raises(Tampered, match="not a public key"):
        OneKey(tmp_path)()
