"""One database, SQLite or PostgreSQL: opened, migrated, and written by one writer at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from modelmark.domain.errors import NotYet, Rejected, Tampered
from modelmark.storage.looked_at import LookedAt
from modelmark.storage.written import Written

#: The newest migration. A test holds it equal to Alembic's head.
HEAD: Final = "0005"
#: The first migration with signed heads: what was there before had none.
HEADS: Final = "0003"
#: Names the advisory lock that makes PostgreSQL writers take turns, as SQLite's do by themselves.
_LOCK: Final = 0x6D6F64656C6D61726B % 2**62


class Database:
    """Connections are per thread; `transaction` nests, and the outermost one commits."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Open and, where needed, migrate. Raises Rejected for a URL it cannot use, NotYet when nobody answers, Tampered for a
        file that is no database (DATABASE_DAMAGED).

        read_only: an SQLite file is neither made, changed nor migrated, nor is anything put beside it (Missing: NO_DATABASE,
        NotYet: DATABASE_OLD).
        """
        self._looked_at = LookedAt.of(url) if read_only else None
        self.engine = self._looked_at.engine if self._looked_at else _engine(url)
        self._file = None if self._looked_at else _File.of(self.engine.url)
        self._local = threading.local()
        self.written = Written()
        #: The format in which the database was found, when it was an earlier one.
        self.upgraded_from: str | None = None
        try:
            self.upgraded_from = _migrate(self.engine, migrates=self._looked_at is None)
        except OperationalError as error:
            raise _unavailable(error, self.engine) from None
        except DatabaseError as error:
            raise damaged(error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self.writing():
            yield

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The open transaction of this thread, or a new one that commits at the end."""
        open_now: Connection | None = getattr(self._local, "connection", None)
        if open_now is not None:
            yield open_now
            return
        with (
            self._reached(),
            self.engine.connect().execution_options(modelmark_write=True) as connection,
            connection.begin(),
        ):
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            self._local.connection = connection
            self.written.take()
            try:
                yield connection
            finally:
                self._local.connection = None
                self.written.take()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """The open transaction of this thread, or a connection that sees what is committed."""
        open_now: Connection | None = getattr(self._local, "connection", None)
        if open_now is not None:
            yield open_now
            return
        with self._reached(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Raises NotYet: DATABASE_UNAVAILABLE when the database is, or goes, away, DATABASE_MOVED when its file does."""
        if self._file is not None:
            self._file.require_there()
        try:
            yield
        except (OperationalError, InterfaceError) as error:
            if not _is_away(error, self.engine.dialect.name):
                raise
            raise _unavailable(error, self.engine) from None

    def close(self) -> None:
        self.engine.dispose()
        if self._looked_at is not None:
            self._looked_at.close()


class _File:
    """Where an SQLite database lies, and which file that is. What was opened before goes on in a file that was moved away,
    and what is opened afterwards would begin an empty one in its place: neither is the database any more."""

    def __init__(self, path: Path) -> None:
        self._path, self._known = path, _which(path)

    @classmethod
    def of(cls, url: URL) -> Self | None:
        """None for a database that is no file."""
        named = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        return cls(Path(str(url.database))) if named else None

    def require_there(self) -> None:
        """Raises NotYet. One that is put back is well again."""
        if _which(self._path) != self._known:
            raise NotYet(
                f"the database {self._path} cannot be reached: it was moved or replaced while this ran", code="DATABASE_MOVED",
                field="MODELMARK_DATABASE", hint="put it back, or end what runs on it and start again",
            )  # fmt: skip


def _which(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _is_away(error: DBAPIError, dialect: str) -> bool:
    """Whether it is the database that is not there, not what was asked of it."""
    said = str(error.orig)
    return dialect == "postgresql" or any(sign in said for sign in ("unable to open", "is locked", "disk I/O error"))


def _unavailable(error: DBAPIError, engine: Engine) -> NotYet:
    where, lines = engine.url.render_as_string(hide_password=True), str(error.orig).strip().splitlines()
    return NotYet(
        f"the database {where} cannot be reached: {lines[0] if lines else type(error.orig).__name__}",
        code="DATABASE_UNAVAILABLE",
        hint="check MODELMARK_DATABASE and that the server runs, then try again",
    )


def damaged(error: DatabaseError) -> Tampered:
    """What the database itself says of its file or its tables."""
    why = str(error.orig).strip().splitlines()[0]
    return Tampered(f"the database cannot be read: {why}", code="DATABASE_DAMAGED", hint="restore it from a backup")


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path.resolve()}"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise Rejected(
            "the database address is of no known kind",
            code="BAD_DATABASE_URL",
            field="MODELMARK_DATABASE",
            limit="sqlite:///path or postgresql://user@host/name",
        )
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.database:
        _make_private(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": 30, "check_same_thread": False}, **_never_made(parsed))
    event.listen(engine, "connect", _sqlite_connect)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _never_made(url: URL) -> dict[str, Any]:
    """The file was made before, never by opening it: where it has gone, no empty one begins in its place."""
    if url.database in (None, "", ":memory:"):
        return {}
    address = f"file:{quote(str(Path(str(url.database)).resolve()))}?mode=rw"
    return {"creator": lambda: sqlite3.connect(address, uri=True, timeout=30, check_same_thread=False)}


def _make_private(path: Path) -> None:
    """The file is its owner's alone, and so is its folder where there was none. What SQLite puts beside it follows.

    A file that is there is never opened here: closing it would drop every lock that SQLite holds on it in this process, and
    the next process to leave would take the log away under us (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _sqlite_connect(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that a writer takes its lock at once
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _sqlite_begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("modelmark_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _migrate(engine: Engine, *, migrates: bool) -> str | None:
    """The earlier format from which it came, None when it is new or was up to date."""
    with engine.connect() as connection:
        known = inspect(connection).has_table("alembic_version")
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None
    if found == HEAD:
        return None
    if found is not None and found > HEAD:
        raise Rejected(
            f"the database was written by a newer Modelmark (format {found})",
            code="DATABASE_TOO_NEW",
            limit=f"this one reads up to {HEAD}",
            hint="upgrade modelmark",
        )
    if not migrates:
        raise NotYet(
            f"the database is of an earlier release (format {found})",
            code="DATABASE_OLD",
            limit=HEAD,
            hint="modelmark status takes it over, where it can be written",
        )
    from alembic import command  # 0.3 s to import: only when there is something to do
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.connect().execution_options(modelmark_write=True) as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return str(found) if found is not None else None
