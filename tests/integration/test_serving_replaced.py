"""Stopped, killed, and unable to start: whoever is left serves on, and soon everybody does again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import serving_case as case
from modelmark import Client
from modelmark.cli import up as module
from modelmark.cli.up import Up
from modelmark.domain.errors import Conflict, ModelmarkError, NotYet
from modelmark.domain.settings import Settings
from modelmark.journal.wal.reader import read_segment, sealed_segments
from modelmark.journal.wal.records import Predicted
from modelmark.journal.wal.recovery import recover_all
from modelmark.serving import supervisor as keeper
from modelmark.serving.child import Child
from modelmark.serving.http.listening import reserve
from modelmark.serving.supervisor import Supervisor, running


def eventually(check: Callable[[], object], seconds: float = 15.0) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def answered(address: str, built: case.Built) -> str | None:
    try:
        with Client(address, timeout=1) as client:
            return client.predict("churn", [case.row(built)]).id
    except (ModelmarkError, OSError):
        return None


@pytest.fixture
def built(tmp_path: Path) -> case.Built:
    found = case.build(tmp_path)
    case.release(found)
    return found


def test_a_stopped_worker_is_replaced_within_three_seconds(built: case.Built) -> None:
    with running(built.workspace, workers=2) as supervisor:
        first, _ = supervisor.processes()
        stopped_at = time.monotonic()
        os.kill(first, signal.SIGSTOP)
        eventually(lambda: first not in supervisor.processes())
        assert time.monotonic() - stopped_at < 3
        eventually(lambda: len(supervisor.processes()) == 2 and all(w.ready.is_set() for w in supervisor.workers))
        assert all(answered(supervisor.address, built) for _ in range(20))


def test_a_worker_that_cannot_start_is_tried_again_while_others_serve(built: case.Built) -> None:
    supervisor = Supervisor(built.workspace, port=0, workers=2)
    sound = supervisor.workers[1]._command
    supervisor.workers[1]._command = [sys.executable, "-c", "raise SystemExit(3)"]
    supervisor.start()
    try:
        assert [w.ready.is_set() for w in supervisor.workers] == [True, False]
        assert answered(supervisor.address, built)
        worker, now = supervisor.workers[1], time.monotonic()
        worker.revive(now)
        assert worker.delay > 0
        worker._command = sound
        worker.revive(worker.due_at)
        assert worker.ready.wait(15)
    finally:
        supervisor.stop()


def test_a_process_that_ended_at_its_start_never_counts_as_well_however_late_somebody_looks() -> None:
    child = Child([sys.executable, "-c", "raise SystemExit(3)"])
    child.start()
    assert child.process is not None
    child.process.wait()
    child.revive(child.started_at + 100)
    assert child.delay > 0


def test_where_all_wait_for_a_release_that_can_be_believed_that_is_said_soon(built: case.Built, monkeypatch) -> None:
    monkeypatch.setattr(keeper, "REST", 0.2)
    supervisor = Supervisor(built.workspace, port=0, workers=2)
    for worker in supervisor.workers:
        worker._command = [sys.executable, "-c", "import time; print('waiting', flush=True); time.sleep(60)"]
    began = time.monotonic()
    with pytest.raises(NotYet):
        supervisor.start()
    assert time.monotonic() - began < keeper.START / 2


def test_where_none_can_start_that_is_one_error(built: case.Built) -> None:
    supervisor = Supervisor(built.workspace, port=0, workers=2)
    for worker in supervisor.workers:
        worker._command = [sys.executable, "-c", "raise SystemExit(3)"]
    began = time.monotonic()
    with pytest.raises(NotYet) as refused:
        supervisor.start()
    assert refused.value.code == "WORKER_FAILED"
    assert time.monotonic() - began < 10, "it does not wait for what has ended"


def serve(built: case.Built, port: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "modelmark", "serve", "--port", str(port), "--workspace"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELMARK_")}
    return subprocess.Popen(
        [*command, str(built.workspace.root), *more], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_a_supervisor_that_was_killed_is_started_again_at_once_and_nothing_answered_is_lost(built: case.Built) -> None:
    held = reserve("127.0.0.1", 0)
    port = held.getsockname()[1]
    held.close()
    address, ids = f"http://127.0.0.1:{port}", list[str]()
    process = serve(built, port, "--workers", "2")
    try:
        for _ in range(2):
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready: predictions")
            ids += [id for _ in range(5) if (id := answered(address, built))]
            process.kill()
            process.wait()
            process.stdout.close()
            process = serve(built, port, "--workers", "2")
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready: predictions"), "the port was let go of in time"
        ids += [id for _ in range(5) if (id := answered(address, built))]
        assert len(ids) == 15
    finally:
        process.terminate()
        process.wait(35)
        assert process.stdout is not None
        process.stdout.close()
    eventually(lambda: kept(built) == sorted(ids))


def test_a_stopped_worker_of_a_supervisor_that_was_killed_holds_no_port(built: case.Built) -> None:
    held = reserve("127.0.0.1", 0)
    port = held.getsockname()[1]
    held.close()
    process = serve(built, port)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready: predictions")
        eventually(lambda: list(built.workspace.runtime.glob("metrics/*/*.json")))
        (worker,) = (int(path.stem) for path in built.workspace.runtime.glob("metrics/*/*.json"))
        os.kill(worker, signal.SIGSTOP)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    supervisor = Supervisor(built.workspace, port=port, patience=5)
    supervisor.stop()
    eventually(lambda: not Path(f"/proc/{worker}").exists())


def kept(built: case.Built) -> list[str]:
    recover_all(built.workspace.wal)
    records = [r for file in sealed_segments(built.workspace.wal) for r in read_segment(file).records]
    return sorted(r.id for r in records if isinstance(r, Predicted))


@pytest.mark.parametrize("taken", ["port", "grpc_port", "dashboard_port"])
def test_up_says_at_once_that_a_port_is_taken(built: case.Built, taken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with reserve("127.0.0.1", 0) as theirs:
        theirs.listen()
        ports = {"port": 0, "grpc_port": 0, "dashboard_port": 0, taken: theirs.getsockname()[1]}
        with pytest.raises(Conflict) as refused:
            Up(Settings(workspace=built.workspace.root, **ports), print)
    assert (refused.value.code, refused.value.field) == ("PORT_TAKEN", taken)
    Up(Settings(workspace=built.workspace.root, **ports), print).close()


def test_the_command_up_ends_with_one_clear_line_when_a_port_is_taken(built: case.Built) -> None:
    with reserve("127.0.0.1", 0) as theirs:
        theirs.listen()
        words = ["up", "--port", str(theirs.getsockname()[1]), "--dashboard-port", "0"]
        done = subprocess.run(
            [sys.executable, "-m", "modelmark", *words, "--workspace", str(built.workspace.root)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode != 0
    assert "is taken" in done.stderr
    assert "replaced in" not in done.stderr
    assert "Traceback" not in done.stderr
