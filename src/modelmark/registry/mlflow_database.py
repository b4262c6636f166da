"""MLflow's own database in a workspace: made aside and put into place whole, so that a set-up that was cut short is redone."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from modelmark.domain.workspace import Workspace

#: SQLite's `user_version` of a database whose set-up came to its end. MLflow does not use it.
WHOLE: Final = 0x6D6D


def set_up(workspace: Workspace, progress: Callable[[str], None]) -> None:
    """Make the database where there is none, or where one was begun and never finished.

    One process at a time; whatever ends it, the next begins anew. Takes seconds, once. Raises what MLflow and the disk raise.
    """
    if _is_whole(workspace.mlflow_database):
        return
    workspace.root.mkdir(parents=True, exist_ok=True)
    with _turn(workspace.root):
        if _is_whole(workspace.mlflow_database):
            return  # another was quicker
        progress("setting up MLflow's own database, once (a few seconds)")
        for left in workspace.root.glob(".mlflow-new-*"):
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=".mlflow-new-", dir=workspace.root))
        try:
            _make(scratch / "mlflow.db", workspace.mlflow_artifacts.resolve().as_uri())
            _put(scratch / "mlflow.db", workspace.mlflow_database)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _make(path: Path, artifacts: str) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(f"sqlite:///{path}", artifacts).engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {WHOLE}")


def _put(made: Path, place: Path) -> None:
    """What stands in place is a set-up that was never finished; nothing was ever recorded in it."""
    for path in (made, made.parent):
        _sync(path)
    for leftover in ("-journal", "-wal", "-shm"):
        place.with_name(place.name + leftover).unlink(missing_ok=True)
    made.replace(place)
    _sync(place.parent)


def _is_whole(path: Path) -> bool:
    """Whether a set-up came to its end here: we said so, or something was recorded since, or, in one that an earlier version
    made, MLflow's migrations are all done. A file that is no database is not ours to replace; MLflow says what is wrong."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] == WHOLE:
                return True
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "runs" in tables and connection.execute("SELECT EXISTS (SELECT * FROM runs)").fetchone()[0]:
                return True
            done = "alembic_version" in tables and connection.execute("SELECT * FROM alembic_version").fetchall()
            return done == [(_last_migration(),)]
    except sqlite3.DatabaseError:
        return True


def _last_migration() -> str:
    from mlflow.store.db import utils

    return str(utils._get_latest_schema_revision())


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / ".mlflow.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
