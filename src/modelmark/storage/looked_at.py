"""An SQLite file that is only looked at: nothing is made or changed, in its folder neither."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from modelmark.domain.errors import Missing


@dataclass(frozen=True, slots=True)
class LookedAt:
    """copy: where a copy lies that goes with this; None where the file itself is read."""

    engine: Engine
    copy: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def of(cls, url: str) -> Self | None:
        """None for a database that is no file. Raises Missing where there is none.

        SQLite reads a file with a write-ahead log only beside a file of its own. Where a process that has the database open
        keeps one, the file is read in place; else a copy is.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite" or not parsed.database:
            return None
        path = Path(parsed.database)
        if not path.is_file():
            raise Missing(
                f"there is no database {path}", code="NO_DATABASE", field="--workspace",
                hint="name the workspace with --workspace, or release a version first",
            )  # fmt: skip
        if (
            _beside(path, "-shm").exists()
            and os.access(_beside(path, "-shm"), os.W_OK)
            and _reads(in_place := _engine(path))
        ):
            return cls(in_place)
        folder: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory(prefix="modelmark-")
        for found in (path, _beside(path, "-wal")):
            if found.is_file():
                shutil.copyfile(found, Path(folder.name) / found.name)
        return cls(_engine(Path(folder.name) / path.name), folder)

    def close(self) -> None:
        if self.copy is not None:
            self.copy.cleanup()


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _reads(engine: Engine) -> bool:
    """What a crash left beside the file may have to be mended by somebody who may write."""
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except DatabaseError:
        engine.dispose()
        return False
    return True


def _engine(path: Path) -> Engine:
    arguments = {"timeout": 30, "check_same_thread": False}
    return create_engine(f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true", connect_args=arguments)
