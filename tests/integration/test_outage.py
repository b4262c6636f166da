"""The database goes away under what runs: an error that says so, a page that says so, and no defect of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from builders.workspace import Lived
from modelmark.domain.errors import NotYet
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
    assert caught.value.code == "DATABASE_UNAVAILABLE"


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
