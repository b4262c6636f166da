"""A writer that is replaced when it failed, so that a server outlives a full disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from modelmark.domain.errors import NotYet
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.journal.wal.records import Record, Schema
from modelmark.journal.wal.writer import Sync, Writer, refusal, why

ROOM: Final = (
    1024 * 1024
)  # bytes that the disk must take before records are written again, so that it does not go to and fro


class RenewedWriter:
    """As `Writer`, for as long as the process lives. It begins failed where the disk takes nothing, or the workspace is gone.

    A failed writer's files are never written again: `renew` takes a new folder.
    """

    def __init__(self, wal: Path, *, sync: Sync, sync_ms: float, seal_after: float) -> None:
        self._wal, self._sync, self._sync_ms, self._seal_after = wal, sync, sync_ms, seal_after
        self.id = os.urandom(16).hex()
        self.ids = PredictionIds(self.id)
        self._schemas: dict[str, Schema] = {}
        self._writer: Writer | None = None
        self._problem: str | None = None
        try:
            self._writer = self._new()
        except OSError as error:
            self._problem = why(error)

    @property
    def failure(self) -> str | None:
        """Why no records are taken now."""
        return self._problem if self._writer is None else self._writer.failure

    def declare(self, schema: Schema) -> None:
        self._schemas[schema.version] = schema
        if self._writer is not None:
            self._writer.declare(schema)

    def append_many(self, records: Sequence[Record]) -> None:
        """Raises NotYet (JOURNAL_FAILED) until `renew` found room."""
        if self._writer is None:
            raise refusal(self._problem)
        self._writer.append_many(records)

    def tick(self) -> None:
        if self._writer is not None:
            self._writer.tick()

    def renew(self) -> bool:
        """Whether records are taken again. Waits for the disk: call it in a thread."""
        if self.failure is None:
            return True
        try:
            self._require_room()
            fresh = self._new()
        except OSError as error:
            self._problem = why(error)
            return False
        for schema in self._schemas.values():
            fresh.declare(schema)
        failed, self._writer = self._writer, fresh
        if failed is not None:
            with suppress(NotYet):  # it says again that it failed
                failed.close()
        return True

    def close(self) -> None:
        """Raises NotYet when not everything is on disk."""
        if self._writer is not None:
            self._writer.close()

    def _new(self) -> Writer:
        if not self._wal.parents[1].is_dir():
            raise FileNotFoundError(errno.ENOENT, "the workspace is gone")  # to make another would hide it
        return Writer(self._wal, sync=self._sync, sync_ms=self._sync_ms, seal_after=self._seal_after)

    def _require_room(self) -> None:
        path = self._wal / f".room-{self.id}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            left = ROOM
            while left:
                left -= os.write(descriptor, bytes(left))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink()
