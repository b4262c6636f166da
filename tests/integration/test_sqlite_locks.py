"""SQLite's locks belong to a process: whatever else opens and closes the file in it must not let them go."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from modelmark.storage.database import Database, sqlite_url
from modelmark.storage.ledger import SqlLedger

#: Another process that writes more than its cache holds and leaves, the last one as far as it can see.
OTHER = """
import sys
from modelmark.storage.database import Database
from modelmark.storage.ledger import SqlLedger

database = Database(sys.argv[1])
with database.transaction():
    for number in range(50):
        SqlLedger(database).set_head(f"{sys.argv[2]} {number}", "x" * 3000)
database.close()
"""


def test_two_openings_in_one_process_do_not_let_another_take_the_log_away(tmp_path: Path):
    url = sqlite_url(tmp_path / "state.db")
    first, second = Database(url), Database(url)
    ledgers = {"first": SqlLedger(first), "second": SqlLedger(second)}
    ledgers["first"].set_head("begun", "1")
    third = Database(url)  # opened and closed while the others hold the file
    third.close()
    written = {"begun"}
    for turn in range(3):
        subprocess.run([sys.executable, "-c", OTHER, url, str(turn)], check=True, timeout=60)
        written |= {f"{turn} {number}" for number in range(50)}
        assert (tmp_path / "state.db-wal").exists(), "somebody has the database open"
        for name, ledger in ledgers.items():
            assert ledger.heads().keys() == written, name
            ledger.set_head(f"{name} {turn}", "1")
            written.add(f"{name} {turn}")
    for database in (first, second):
        database.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert {name for (name,) in connection.execute("SELECT name FROM heads")} == written


def test_the_file_is_its_owners_alone_also_where_it_was_there(tmp_path: Path):
    path = tmp_path / "new" / "state.db"
    Database(sqlite_url(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    Database(sqlite_url(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600
