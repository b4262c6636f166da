"""Checkpoints leave the workspace, wherever they are sent, and tell of what was put back."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builders.workspace import Lived, quiet
from journey import until
from modelmark.app.control_plane import ControlPlane
from modelmark.app.usecases.finish_acts import POSITION
from modelmark.app.usecases.make_checkpoint import MakeCheckpoint as MadeCheckpoint
from modelmark.app.usecases.verify import Verify
from modelmark.domain.errors import Missing, NotYet, Rejected
from modelmark.governance.verify import PENDING
from modelmark.seal.checkpoint import checkpoint_turn, open_checkpoint
from modelmark.seal.files import taken
from modelmark.steward.jobs.checkpoint import MakeCheckpoint
from modelmark.storage.exports import check_target, export

NAME = "checkpoint-00000001.dsse.json"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with one release."""
    root = tmp_path_factory.mktemp("lived") / "place"
    life, case = Lived.at(root), quiet()
    version = life.register(case, 1, life.now - timedelta(hours=2))
    life.check(case, version, life.now - timedelta(hours=2))
    for person in case.contract.signers():
        life.app.releases.approve(version, role=person.role, name=person.name, comment="", actor="ann")
    life.app.release(version)
    assert life.app.finish()
    life.app.database.close()
    return root


@pytest.fixture
def place(lived: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(lived, tmp_path / "place"))


def opened(place: Path, **settings: str) -> ControlPlane:
    return ControlPlane.open({"MODELMARK_ACTOR": "ann", **settings}, workspace=place)


def test_a_release_makes_one_and_each_has_the_next_number(place: Path, tmp_path: Path) -> None:
    app = opened(place, MODELMARK_CHECKPOINT_TO=str(tmp_path / "away"))
    kept = open_checkpoint(app.workspace.checkpoint.read_bytes(), app.verifier)
    assert kept.number == 1
    last = app.ledger.last_event()
    assert last is not None
    assert kept.audit == {"sequence": last.sequence, "hash": last.hash}
    made, where = app.checkpoint()
    assert (made.number, (tmp_path / "away" / "checkpoint-00000002.dsse.json").exists()) == (2, True)
    assert str(tmp_path / "away") in where
    assert made.counts["versions"] == 1


def test_there_is_none_before_the_first_act(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        opened(tmp_path / "empty").checkpoint()
    assert caught.value.code == "NOTHING_YET"


def test_a_git_repository_gets_a_commit_and_its_remote_a_push(tmp_path: Path) -> None:
    def git(*words: str, at: Path = tmp_path) -> str:
        return subprocess.run(["git", "-C", str(at), *words], check=True, capture_output=True, text=True).stdout

    git("init", "--quiet", "--bare", "remote.git")
    git("clone", "--quiet", "remote.git", "clone")
    clone = tmp_path / "clone"
    (clone / "other").write_text("not ours")
    git("checkout", "--quiet", "-b", "main", at=clone)
    git("config", "push.autoSetupRemote", "true", at=clone)
    git("add", "other", at=clone)
    said = export(f"git+{clone}", NAME, b"{}")
    assert "pushed" in said
    assert git("show", "--name-only", "--format=%s", "main", at=tmp_path / "remote.git").split() == [
        "Checkpoint",
        NAME,
        NAME,
    ]
    shutil.rmtree(tmp_path / "remote.git")
    with pytest.raises(NotYet) as caught:
        export(f"git+{clone}", "checkpoint-00000002.dsse.json", b"{}")
    assert caught.value.code == "EXPORT_FAILED"


class Store(BaseHTTPRequestHandler):
    """Takes PUTs; `/full` refuses, `/moved` points elsewhere."""

    taken: dict[str, bytes]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/moved"):
            self.send_response(307)
            self.send_header("location", "/elsewhere")
        else:
            self.send_response(507 if self.path.startswith("/full") else 200)
            self.taken[self.path] = body
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[str]:
    Store.taken = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_address_gets_a_put_and_no_redirect_is_followed(store: str) -> None:
    said = export(f"{store}/kept/{{name}}?signature=secret", NAME, b"{}")
    assert Store.taken == {f"/kept/{NAME}?signature=secret": b"{}"}
    assert "secret" not in said
    for path in ("full", "moved"):
        with pytest.raises(NotYet) as caught:
            export(f"{store}/{path}?signature=secret", NAME, b"{}")
        assert caught.value.code == "EXPORT_FAILED"
        assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    assert "/elsewhere" not in Store.taken


def test_whoever_verifies_sees_no_checkpoint_that_is_in_the_database_and_not_yet_in_its_file(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, turns = opened(place), list[bool]()
    where = checkpoint_turn(app.workspace)
    write, read = MadeCheckpoint.catch_up, Verify._checkpoint

    def written(self: MadeCheckpoint) -> None:
        turns.append(taken(where))
        write(self)

    def seen(self: Verify) -> bytes | None:
        with open(where.with_name(f".{where.name}.lock")) as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        turns.append(True)
        return read(self)

    monkeypatch.setattr(MadeCheckpoint, "catch_up", written)
    monkeypatch.setattr(Verify, "_checkpoint", seen)
    app.checkpoint()
    assert [item for item in app.verify() if item.fault] == []
    assert turns == [True, True]


@pytest.mark.parametrize("target", ["ftp://somewhere/x", "s3://bucket/x", "file:///etc"])
def test_an_address_of_no_known_kind_is_refused_at_once(target: str, place: Path) -> None:
    with pytest.raises(Rejected) as caught:
        check_target(target)
    assert caught.value.code == "BAD_CHECKPOINT_TARGET"
    with pytest.raises(Rejected):
        opened(place, MODELMARK_CHECKPOINT_TO=target).steward()


def test_what_cannot_leave_is_kept_here_and_the_act_stands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = opened(place, MODELMARK_CHECKPOINT_TO="git+/nowhere/at/all")
    with pytest.raises(NotYet):
        app.checkpoint()
    assert open_checkpoint(app.workspace.checkpoint.read_bytes(), app.verifier).number == 2
    app.checkpoint.last()
    assert "no checkpoint was made or copied" in capsys.readouterr().err
    assert [item for item in app.verify() if item.fault] == []


def test_the_steward_makes_them_now_and_then_and_says_when_it_cannot(place: Path, tmp_path: Path) -> None:
    app = opened(place, MODELMARK_CHECKPOINT_TO=str(tmp_path / "away"), MODELMARK_CHECKPOINT_MINUTES="30")
    steward, now = app.steward(), app.clock()
    assert steward.step(now).errors == []
    steward.step(now + timedelta(minutes=29))
    assert len(list((tmp_path / "away").iterdir())) == 1
    steward.step(now + timedelta(minutes=31))
    assert len(list((tmp_path / "away").iterdir())) == 2
    broken = opened(place, MODELMARK_CHECKPOINT_TO="git+/nowhere").steward()
    assert any("checkpoint failed" in line for line in broken.step(now + timedelta(minutes=90)).errors)


def test_the_steward_has_finished_what_an_act_left(place: Path) -> None:
    """Whoever acted was killed, or acted in a page."""
    app = opened(place)
    number = app.checkpoint()[0].number
    app.monitoring_store.set_checkpoint(POSITION, {})
    assert any(item.kind == PENDING for item in app.verify())
    steward = app.steward()
    assert steward.step(app.clock()).errors == []
    until(lambda: not app.finish.pending(), seconds=60)
    assert not any(item.kind == PENDING for item in app.verify())
    assert open_checkpoint(app.workspace.checkpoint.read_bytes(), app.verifier).number > number


def test_nothing_to_sign_is_no_fault_of_the_steward_s() -> None:
    def nothing() -> None:
        raise Missing("nothing happened here yet", code="NOTHING_YET")

    job = MakeCheckpoint(make=nothing, interval=timedelta(minutes=1))
    assert job.run(None) is False  # type: ignore[arg-type]


def test_the_command_line_holds_a_workspace_against_a_checkpoint_and_key_kept_elsewhere(
    place: Path, tmp_path: Path
) -> None:
    import sys

    def modelmark(*words: str) -> tuple[int, dict[str, object]]:
        command = [sys.executable, "-m", "modelmark", *words, "--workspace", str(place), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return done.returncode, json.loads(done.stdout)

    earlier = Path(shutil.copytree(place, tmp_path / "earlier"))
    code, said = modelmark("checkpoint", "--to", str(tmp_path / "away"))
    assert code == 0
    kept, key = tmp_path / "away" / "checkpoint-00000002.dsse.json", tmp_path / "mark.pub"
    shutil.copy(place / "keys" / "mark.pub", key)
    checked = ("verify", "--checkpoint", str(kept), "--key", str(key))
    assert modelmark(*checked)[1]["verdict"] == "pass"
    other = opened(tmp_path / "other")
    assert other.signer
    shutil.copy(tmp_path / "other" / "keys" / "mark.pub", place / "keys" / "mark.pub")
    code, said = modelmark(*checked)
    assert (code, said["first_bad"]["fault"]) == (1, "KEY_REPLACED")  # type: ignore[index]
    shutil.rmtree(place)
    earlier.rename(place)
    code, said = modelmark(*checked)
    assert (code, said["first_bad"]["fault"]) == (1, "ROLLED_BACK")  # type: ignore[index]
    assert modelmark("verify", "--checkpoint", str(tmp_path / "nothing"))[1]["error"]["code"] == "NO_FILE"  # type: ignore[index]
    assert modelmark("verify", "--key", str(key))[1]["error"]["code"] == "USAGE"  # type: ignore[index]


def test_what_is_sealed_when_everything_ends_is_seen_by_the_steward_s_last_checkpoint(
    place: Path, tmp_path: Path
) -> None:
    """While nobody watches, its end could be cut; `up` ends the endpoint first."""
    import signal
    import sys

    from modelmark.client import Client

    words = [sys.executable, "-m", "modelmark", "up", "--workspace", str(place), "--json"]
    free = {"MODELMARK_PORT": "0", "MODELMARK_DASHBOARD_PORT": "0"}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, **free}) as up:
        assert up.stdout is not None
        ready: dict[str, str] = {}
        text = ""
        while len(ready) < 2:
            text += up.stdout.readline()
            if text.rstrip().endswith("}"):
                told = json.loads(text)
                ready[told["ready"]], text = told["address"], ""
        with Client(ready["predictions"]) as client:
            answered = client.predict("churn", [{"tenure": 0.1, "calls": 0.2, "spend": 0.3, "age": 0.4}])
        up.send_signal(signal.SIGTERM)
        assert up.wait(90) == 0
    app = opened(place)
    assert [item for item in app.verify() if item.fault] == []
    (segment,) = (place / "journal" / "wal").rglob("*.seg")
    segment.unlink()
    assert [item.fault for item in app.verify() if item.fault] == ["SEGMENT_GONE"], answered
