"""The write path of the journal: one writer, one folder, append-only segments.

A record is in the kernel's hands, safe from kill -9, when `append` returns; safe from a power cut as the policy says:
`always` when `append` returns, `interval` within `sync_ms`, `never` when the kernel pleases.
The first failed write or sync ends the writer for good: what a failed fsync leaves on disk is unknowable.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, Self

from modelmark.domain.errors import NotYet
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.journal.wal.disk import sync_folder, write_whole
from modelmark.journal.wal.frames import SEAL, Header, Seal, encode, frame
from modelmark.journal.wal.records import Predicted, Record, Schema, Shadowed
from modelmark.journal.wal.reserve import Reserve
from modelmark.seal.chain import START

LOCK: Final = "lock"
OPEN: Final = ".open"
SEALED: Final = ".seg"
#: Records that only the schema of their version tells how to read.
_READ_BY_SCHEMA: Final = (Predicted, Shadowed)


class Sync(StrEnum):
    ALWAYS = "always"
    INTERVAL = "interval"
    NEVER = "never"


class Writer:
    """Owns `wal/<id>/` while its lock is held. Not thread-safe: one thread appends, another of its own syncs."""

    def __init__(
        self,
        wal: Path,
        *,
        sync: Sync = Sync.INTERVAL,
        sync_ms: float = 50.0,
        seal_after: float = 2.0,
        max_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self.id = os.urandom(16).hex()
        self.folder = wal / self.id
        self.sync, self.sync_ms, self.seal_after, self.max_bytes = sync, sync_ms, seal_after, max_bytes
        self.ids = PredictionIds(self.id)
        self.failure: str | None = None
        self.records = 0
        self._schemas: dict[str, Schema] = {}
        self._announced: set[str] = set()
        self._link, self._sequence, self._segment = START, 0, 0
        self._fd = -1
        self._size = self._count = self._first = self._seed = 0
        self._opened_at = 0.0
        self._dirty = False
        self._retiring: SimpleQueue[tuple[int, Path]] = SimpleQueue()
        self._always = sync is Sync.ALWAYS
        self._open_for_records = threading.Lock()  # held until `close`
        self._open_for_records.acquire()
        self._lock_fd = self._claim(wal)
        self._reserve = Reserve(self.folder)
        self._thread = threading.Thread(target=self._tend, name="journal-sync", daemon=True)
        self._thread.start()

    def declare(self, schema: Schema) -> None:
        """Say how predictions of a version read. Goes into every segment before the first of them."""
        self._schemas[schema.version] = schema

    def append(self, record: Record) -> None:
        self.append_many((record,))

    def append_many(self, records: Sequence[Record]) -> None:
        """All of them in one write. Raises NotYet (code JOURNAL_FAILED) when this writer is, or now becomes, unusable:
        then none of them may be acknowledged."""
        if self.failure is not None:
            raise self._refusal()
        if not records:
            return
        try:
            if self._fd < 0:
                self._open()
            self._write(self._frames(records))
            if self._always:
                os.fdatasync(self._fd)
            else:
                self._dirty = True
            if self._size >= self.max_bytes:
                self._seal()
        except OSError as error:
            self._fail(error)
            raise self._refusal() from None
        self.records += len(records)

    def tick(self) -> None:
        """Seal the open segment when it is old enough. Call it now and then."""
        if self._fd >= 0 and self.failure is None and time.monotonic() - self._opened_at >= self.seal_after:
            self.seal()

    def seal(self) -> None:
        """Close the open segment, if any; it is renamed once it is on disk, a moment later."""
        if self._fd < 0 or self.failure is not None:
            return
        try:
            self._seal()
        except OSError as error:
            self._fail(error)
            raise self._refusal() from None

    def close(self) -> None:
        """Seal, wait until everything is on disk, let go of the folder. Raises NotYet when that failed."""
        try:
            self.seal()
        finally:
            self._open_for_records.release()
            self._thread.join()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            if self._lock_fd >= 0:
                self._reserve.close()
                os.close(self._lock_fd)
                self._lock_fd = -1
        if self.failure is not None:
            raise self._refusal()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _claim(self, wal: Path) -> int:
        """Lock a hidden folder, then show it: nobody ever sees one without its owner's lock."""
        wal.mkdir(parents=True, exist_ok=True)
        hidden = wal / f".{self.id}"
        hidden.mkdir()
        descriptor = os.open(hidden / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(self.folder)
        for folder in (wal, *wal.parents[:2]):  # a workspace's first writer makes them
            sync_folder(folder)
        return descriptor

    def _open(self) -> None:
        header = Header(self.id, self._segment, self._sequence, self._link)
        path = self.folder / f"{self._segment:012d}{OPEN}"
        self._fd = self._reserve.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._first, self._count, self._size = self._sequence, 0, 0
        self._announced.clear()
        self._opened_at = time.monotonic()
        self._write(header.to_bytes())
        self._link, self._seed = header.link(), header.seed()
        self._reserve.sync_folder()

    def _frames(self, records: Iterable[Record]) -> bytes:
        parts: list[bytes] = []
        add = parts.append
        last, sequence, seed, announced = self._link, self._sequence, self._seed, self._announced
        for record in records:
            if isinstance(record, _READ_BY_SCHEMA) and record.version not in announced:
                announced.add(record.version)
                schema = self._schemas.get(record.version)
                if schema is not None:
                    data, last = frame(last, sequence, encode(schema), seed=seed)
                    add(data)
                    sequence += 1
            data, last = frame(last, sequence, encode(record), seed=seed)
            add(data)
            sequence += 1
        self._count += sequence - self._sequence
        self._link, self._sequence = last, sequence
        return b"".join(parts)

    def _write(self, data: bytes) -> None:
        write_whole(self._fd, data, at=self._size)
        self._size += len(data)

    def _seal(self) -> None:
        seal = encode(Seal(self._count, self._first))
        data, self._link = frame(self._link, self._sequence, seal, SEAL, seed=self._seed)
        self._write(data)
        path = self.folder / f"{self._segment:012d}{OPEN}"
        descriptor, self._fd = self._fd, -1
        self._sequence += 1
        self._segment += 1
        self._retiring.put((descriptor, path))

    def _tend(self) -> None:
        """The other thread: sync what is dirty, retire what is sealed.

        It gives the interpreter up twice a round, in the wait and in the sync: each time it wants it back, a request may
        have to stop for it.
        """
        try:
            while not self._open_for_records.acquire(timeout=self.sync_ms / 1000):
                self._put_on_disk()
            self._put_on_disk()
        except OSError as error:
            self._fail(error)

    def _put_on_disk(self) -> None:
        """What was sealed comes first: no record is ever on disk whose segment continues one that is not."""
        dirty, self._dirty = self._dirty, False
        descriptor = self._fd  # read before the queue: what was sealed before this one stands in it
        retired = self._retire()
        if self.sync is Sync.INTERVAL and dirty and self.failure is None and descriptor not in {-1, *retired}:
            os.fdatasync(descriptor)  # sealed meanwhile or not: nobody but this thread closes it

    def _retire(self) -> list[int]:
        """The descriptors that were closed."""
        done: list[int] = []
        while True:
            try:
                descriptor, path = self._retiring.get_nowait()
            except Empty:
                return done
            done.append(descriptor)
            try:
                os.fsync(descriptor)
            finally:
                self._reserve.close_file(descriptor)
            path.rename(path.with_suffix(SEALED))
            self._reserve.sync_folder()

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failure = why(error)

    def _refusal(self) -> NotYet:
        return refusal(self.failure)


def refusal(failure: str | None) -> NotYet:
    """Nothing is answered that could not be written."""
    return NotYet(
        "the journal cannot take records, so nothing is answered",
        code="JOURNAL_FAILED",
        limit=failure,
        hint="free or replace the disk: answers come again by themselves",
    )


def why(error: OSError) -> str:
    return f"{type(error).__name__}: {error.strerror}"
