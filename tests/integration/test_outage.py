"""The database goes away under what runs: an error that says so, a page that says so, and no defect of ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

import serving_case as case
from builders import workspace as made
from builders.domain import NOON
from builders.journal import journal, predicted
from builders.steward import steward
from builders.workspace import Lived
from modelmark.app.container import Container
from modelmark.cli.output import ERROR, REFUSED, exit_code
from modelmark.domain.disk import disk_fault
from modelmark.domain.errors import Missing, NotYet
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import compact
from modelmark.journal.wal.renewed import RenewedWriter
from modelmark.journal.wal.writer import Sync
from modelmark.steward.job import Step
from modelmark.storage.database import Database, sqlite_url

HOME = "http://127.0.0.1:8081"


@pytest.mark.postgres
def test_a_server_that_goes_away_in_the_middle_is_told_as_such(postgres) -> None:  # type: ignore[no-untyped-def]
    url = postgres.create("outage")
    database = Database(url)
    other = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with pytest.raises(NotYet) as caught, database.writing() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
        with other.begin() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        connection.execute(text("SELECT 1"))
    assert caught.value.code == "DATABASE_UNAVAILABLE"
    with database.reading() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1, "and it goes on"
    other.dispose()
    database.close()


def test_a_file_that_cannot_be_opened_is_told_as_such(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "w" / "state.db"))
    database.close()
    shutil.rmtree(tmp_path / "w")
    with pytest.raises(NotYet) as caught, database.reading():
        pass
    assert caught.value.code == "DATABASE_MOVED"


@pytest.mark.parametrize("held", [True, False], ids=["held open", "opened anew"])
def test_a_file_that_is_moved_is_a_fault_at_once_and_none_begins_in_its_place(tmp_path: Path, held: bool) -> None:
    path, aside = tmp_path / "state.db", tmp_path / "aside.db"
    database = Database(sqlite_url(path))
    if not held:
        database.engine.dispose()
    for act in ("moved", "replaced"):
        path.rename(aside)
        if act == "replaced":
            Database(sqlite_url(path)).close()
        for reach in (database.reading, database.writing):
            with pytest.raises(NotYet) as caught, reach():
                pass
            assert (caught.value.code, bool(caught.value.hint)) == ("DATABASE_MOVED", True)
        assert path.exists() == (act == "replaced")
        path.unlink(missing_ok=True)
        aside.rename(path)
        with database.reading() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1, "put back, it is well again"
    database.close()


def test_even_between_the_look_and_the_opening_no_file_is_made(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "state.db"))
    database.engine.dispose()
    (tmp_path / "state.db").rename(tmp_path / "aside.db")
    with pytest.raises(OperationalError), database.engine.connect():
        pass
    assert not (tmp_path / "state.db").exists()


def test_a_steward_without_its_database_does_not_count_as_watching(tmp_path: Path) -> None:
    path, beats, stop = tmp_path / "state.db", list[bool](), threading.Event()
    keeper = steward(tmp_path, clock=lambda: NOON, step_seconds=0.001, lives=lambda: beats.append(True))
    step, steps = keeper.step, []

    def stepped(now: datetime) -> Step:
        steps.append(now)
        if len(steps) == 2:
            path.rename(tmp_path / "aside.db")
        if len(steps) == 3:
            stop.set()
        return step(now)

    keeper.step = stepped  # type: ignore[method-assign]
    keeper.run(stop)
    assert len(beats) == 1
    assert not path.exists()


def test_a_database_that_a_journal_expects_is_missed_and_not_begun_anew(tmp_path: Path) -> None:
    workspace = journal(tmp_path, predicted("a"))
    compact(workspace)
    with pytest.raises(Missing) as caught:
        assert Container.open({}, workspace=tmp_path).ledger
    assert (caught.value.code, exit_code(caught.value)) == ("DATABASE_GONE", REFUSED)
    assert "state.db is gone, though a journal lies here that was written with it" in caught.value.message
    assert not workspace.database.exists()


def test_pages_say_that_the_database_is_away_and_when_to_ask_again(tmp_path: Path) -> None:
    place = Lived.at(tmp_path / "w")
    with TestClient(place.app.dashboard(), base_url=HOME, raise_server_exceptions=False) as client:
        assert client.get("/health").status_code == 200
        place.app.database.close()
        shutil.rmtree(tmp_path / "w")
        for path in ("/", "/releases", "/health"):
            told = client.get(path, headers={"accept": "text/html"})
            assert (told.status_code, told.headers["retry-after"]) == (503, "5"), path
            assert "cannot be reached" in told.text


def test_the_first_page_says_that_the_disk_is_full_even_where_no_alert_could_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Lived.at(tmp_path / "w")
    with TestClient(place.app.dashboard(), base_url=HOME) as client:
        assert "disk" not in client.get("/").text
        monkeypatch.setitem(disk_fault.__kwdefaults__, "reserve", 2**60)
        assert "The workspace&#39;s disk is full: predictions are refused (503" in client.get("/").text
    place.app.database.close()


def everything(root: Path) -> dict[str, Any]:
    """Each file and folder: its mode, its time, its bytes."""
    return {
        path.relative_to(root).as_posix(): (
            path.stat().st_mode,
            path.stat().st_mtime_ns,
            path.is_file() and path.read_bytes(),
        )
        for path in [root, *root.rglob("*")]
    }


@pytest.mark.parametrize("live", [False, True], ids=["nobody has it open", "the steward has it open"])
def test_whoever_verifies_writes_nothing(tmp_path: Path, live: bool) -> None:
    place, quiet = Lived.at(tmp_path / "w"), made.quiet()
    one = place.register(quiet, 1, place.now)
    place.check(quiet, one, place.now)
    place.release(quiet, one, place.now)
    if not live:
        place.app.database.close()
    (tmp_path / "w").chmod(0o755)
    before = everything(tmp_path / "w")
    auditor = Container.open({"MODELMARK_ACTOR": "eve"}, workspace=tmp_path / "w", read_only=True)
    assert [item.name for item in auditor.verify() if item.fault] == []
    auditor.database.close()
    after = everything(tmp_path / "w")
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed - ({"state.db-shm"} if live else set()) == set(), "only who reads what, in memory that SQLite shares"


def test_an_auditor_without_the_database_is_told_so_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(Missing) as caught:
        assert Container.open({}, workspace=tmp_path, read_only=True).ledger
    assert (caught.value.code, list(tmp_path.iterdir())) == ("NO_DATABASE", [])


def test_a_workspace_moved_under_what_runs_is_noticed_and_none_is_made_at_the_old_place(tmp_path: Path) -> None:
    built = case.build(tmp_path / "w")
    case.release(built)
    root = built.workspace.root
    words = [sys.executable, "-m", "modelmark", "up", "--port", "0", "--dashboard-port", "0", "--workspace", str(root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert {process.stdout.readline().split()[1] for _ in range(2)} == {"predictions", "dashboard"}
        root.rename(tmp_path / "elsewhere")
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == ERROR
    assert "was moved or replaced while this ran" in said.splitlines()[-1]
    assert not root.exists()


def test_nothing_that_runs_makes_a_workspace_where_there_was_one(tmp_path: Path) -> None:
    gone = Workspace(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        compact(gone)
    writer = RenewedWriter(gone.wal, sync=Sync.ALWAYS, sync_ms=50, seal_after=2)
    assert "the workspace is gone" in str(writer.failure)
    assert writer.renew() is False
    assert not gone.root.exists()
