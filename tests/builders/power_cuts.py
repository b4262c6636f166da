"""A journal that lived for a while, and what becomes of it after a power cut or a fault at any of its calls."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from random import Random
from typing import Any, Final

import pytest

from builders.journal import label
from builders.keys import KEY
from builders.power import Power, recorded
from modelmark.domain.errors import NotYet, Tampered
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables import compact as compaction
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.verification import verify_journal
from modelmark.journal.tables.witness import JournalHead
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal.heads import check_receipt, sign_receipt

#: Of what was not synced, how much is there after a cut.
SHARES: Final = (0.0, 0.3, 0.7, 1.0)
#: Calls that change the disk.
CALLS: Final = ("write", "ftruncate", "fsync", "fdatasync", "rename", "unlink", "mkdir", "rmdir")


class Notary:
    """Signs, and keeps heads in a database that loses nothing."""

    def __init__(self, power: Power | None = None) -> None:
        self.power = power
        self.heads: list[tuple[int, JournalHead]] = []

    def sign(self, link: bytes) -> str:
        return sign_receipt(KEY, link)

    def check(self, link: bytes, signature: str) -> None:
        check_receipt(KEY.verifier(), link, signature)

    def keep(self, head: JournalHead) -> None:
        self.heads.append((len(self.power.acts) if self.power else 0, head))

    def kept(self) -> JournalHead | None:
        return self.heads[-1][1] if self.heads else None

    def when(self, at: int) -> Notary:
        """As it was before an act."""
        found = Notary()
        found.heads = [(0, head) for act, head in self.heads if act <= at]
        return found


@dataclass(slots=True)
class Life:
    """One writer and a steward for a while. answered: labels whose `append` returned; tried: all that were written."""

    root: Path
    notary: Notary
    sync: Sync = Sync.ALWAYS
    answered: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)

    def run(self, around: Callable[[range], Any], *, batches: int = 12) -> None:
        """Segments full and not, passes, maintenance. around: a context for each batch. Goes on after any refusal."""
        space, number = Workspace(self.root), 0
        compactor = Compactor(space, witness=self.notary)
        writer = Writer(space.wal, sync=self.sync, sync_ms=1, max_bytes=6000)
        try:
            for batch in range(batches):
                values = range(number, number + 4 + batch * 3 % 40)
                number = values.stop
                self.tried |= set(values)
                with suppress(NotYet), around(values):
                    writer.append_many([label(f"p{n}", n, at=n) for n in values])
                    self.answered |= set(values)
                if batch % 3 == 2:
                    self._pass(compactor)
            with suppress(NotYet):
                writer.close()
            self._pass(compactor)
        finally:
            _die(writer)

    def _pass(self, compactor: Compactor) -> None:
        with suppress(OSError):
            compactor.run()
            compactor.maintain()

    def check(self, must: set[int], may: set[int]) -> str:
        """What is wrong with the labels in the tables after two passes; empty when nothing is."""
        space = Workspace(self.root)
        for _ in range(2):
            compactor = Compactor(space, witness=self.notary)
            damaged = [*compactor.run().damaged, *compactor.maintain()]
            if faults := [str(error.message) for error in damaged if "did not reach the disk" not in error.message]:
                return faults[0]
        try:
            list(verify_journal(space, self.notary.kept(), self.notary.check))
        except Tampered as error:
            return f"verify: {error.message}"
        with connected(space, threads=1, found="labels") as connection:
            rows = connection.execute("SELECT ns FROM found").fetchall() if connection is not None else []
        found = Counter(ns for (ns,) in rows)
        twice = sum(count > 1 for count in found.values())
        told = {"lost": len(must - set(found)), "false": len(set(found) - may), "twice": twice}
        return ", ".join(f"{count} {what}" for what, count in told.items() if count)


@contextmanager
def small_limits() -> Iterator[pytest.MonkeyPatch]:
    """Tables are rewritten and checkpointed after a few commits."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("SMALL_FILES", 3), ("CHECKPOINT_EVERY", 3), ("KEEP_HOURS", 0)):
            patch.setattr(compaction, name, value)
        yield patch


def lived(root: Path, sync: Sync) -> tuple[Power, Notary]:
    """Everything such a life did to the disk."""
    root.mkdir()
    with small_limits() as patch, recorded(root, patch) as power:
        notary = Notary(power)
        Life(root, notary, sync).run(power.batch)
    return power, notary


def cut(power: Power, notary: Notary, into: Path, chance: Random) -> str:
    """The power goes at some moment; what is wrong after that."""
    at = chance.randrange(len(power.acts) + 1)
    power.image(into, at, chance, chance.choice(SHARES))
    with small_limits():
        return Life(into, notary.when(at)).check(power.promised(at), power.written(at))


class Killed(BaseException):
    """The end of a process, as far as one can end inside of it."""


FAULTS: Final = {"EIO": OSError(errno.EIO, "I/O error"), "ENOSPC": OSError(errno.ENOSPC, "full"), "kill": Killed()}


def faulted(root: Path, at: int, fault: str) -> tuple[bool, str]:
    """A life in which the n-th call fails once; whether there was such a call, and what is wrong after that."""
    root.mkdir()
    life, seen, main = Life(root, Notary()), [0], threading.main_thread()
    lock = threading.Lock()

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **more: Any) -> Any:
            with lock:
                seen[0] += fault != "kill" or threading.current_thread() is main
                hit = seen[0] == at and (fault != "kill" or threading.current_thread() is main)
                seen[0] += hit  # once
            if hit:
                raise FAULTS[fault]
            return real(*given, **more)

        return call

    with small_limits():
        with pytest.MonkeyPatch.context() as calls, suppress(Killed, OSError):
            for name in CALLS:
                calls.setattr(os, name, failing(getattr(os, name)))
            life.run(lambda _: nullcontext())
        return seen[0] >= at, life.check(life.answered, life.tried)


def _die(writer: Writer) -> None:
    """Let go of everything, as the kernel does for a process that ended."""
    if writer._lock_fd >= 0:
        with suppress(Empty):
            while True:
                os.close(writer._retiring.get_nowait()[0])
        writer._open_for_records.release()
        writer._thread.join()
        for descriptor in (writer._fd, writer._lock_fd):
            if descriptor >= 0:
                os.close(descriptor)
        writer._fd = writer._lock_fd = -1
