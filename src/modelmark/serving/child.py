"""One child process: started, heard, replaced when it has died or stands still."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from modelmark.serving.heartbeat import ALIVE
from modelmark.serving.telling import tell

#: A child that lived less than this crashed at its start; the next one waits.
SETTLED: Final = 5.0
MAX_DELAY: Final = 5.0
#: Silence after which a child is replaced, in seconds: one that the system says is stopped, and any other.
STOPPED: Final = 1.0
SILENT: Final = 10.0
#: Silence that is borne from one that starts.
START: Final = 30.0
#: We were held up ourselves when we come round so late: then children's silence says nothing.
LATE: Final = 1.0


class Child:
    """One process at a time and what is known of it. It tells that it lives by lines on standard output (`heartbeat`)."""

    def __init__(
        self,
        command: list[str],
        on_ready: Callable[[str], None] = lambda _: None,
        more: Callable[[], list[str]] = list,
        *,
        silent: float = SILENT,
    ) -> None:
        """on_ready is told each line that begins with `ready`. more: arguments that are asked for at each start. silent:
        seconds without a word after which it is taken to hang. A line `waiting` says that it cannot begin yet, and lives."""
        self._command, self._more, self._silent = command, more, silent
        self._on_ready = on_ready
        self.process: subprocess.Popen[str] | None = None
        self.ready, self.waiting = threading.Event(), threading.Event()
        self.started_at = self.heard_at = 0.0
        self._heard = False
        self.said = ""  # with its last sign of life
        self.delay = 0.0
        self.due_at = 0.0

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Raises OSError when the system has no room for another process."""
        environment = {**os.environ, "MODELMARK_SUPERVISED": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.ready.clear()
        self.waiting.clear()
        self._heard, self.said = False, ""
        self.started_at = self.heard_at = time.monotonic()
        self.process = subprocess.Popen(
            [*self._command, *self._more()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as said:
            for line in said:
                if process is not self.process:
                    continue  # it was replaced
                self.heard_at, self._heard = time.monotonic(), True
                if line.startswith(ALIVE):
                    self.said = line.removeprefix(ALIVE).strip()
                if line.startswith("waiting"):
                    self.waiting.set()
                if line.startswith("ready"):
                    self.ready.set()
                    try:
                        self._on_ready(line.rstrip())
                    except OSError as error:  # nobody reads what we say; that harms no child
                        tell(f"could not tell that a child is ready: {error}")

    def revive(self, now: float) -> None:
        """Replace a dead process, or one that stands still: at once when it had been well, ever later when it crashes at
        its start."""
        process = self.process
        if process is None:
            if now >= self.due_at:
                self._try_again(now)
            return
        status: int | str | None = process.poll()
        lived_until = self.heard_at
        if status is None:
            status = self._stands_still(process, now)
            if status is None:
                return
            lived_until = now
            process.kill()
            process.wait()
        well = self.ready.is_set() or lived_until - self.started_at >= SETTLED
        self._postpone(now, f"process {process.pid} ended ({status})", well=well)
        if process.stdin is not None:
            process.stdin.close()
        self.process = None
        self.revive(now)

    def _try_again(self, now: float) -> None:
        try:
            self.start()
        except OSError as error:
            self._postpone(now, f"no process can be started: {error}", well=False)

    def _postpone(self, now: float, why: str, *, well: bool) -> None:
        self.delay = 0.0 if well else min(max(0.1, 2 * self.delay), MAX_DELAY)
        self.due_at = now + self.delay
        tell(f"{why}; replaced in {self.delay:.1f} s")

    def _stands_still(self, process: subprocess.Popen[str], now: float) -> str | None:
        """How, when it does."""
        quiet = now - self.heard_at
        if quiet > STOPPED and is_stopped(process.pid):
            return f"stopped for {quiet:.1f} s"
        if quiet > (self._silent if self._heard else START):
            return f"silent for {quiet:.1f} s"
        return None

    def end(self) -> None:
        """Ask it to end; one that is stopped hears nothing and is killed."""
        if self.process is not None and self.process.poll() is None:
            if is_stopped(self.process.pid):
                self.process.kill()
            else:
                self.process.terminate()

    def tell(self, line: str) -> None:
        """On its standard input; one that has ended hears nothing."""
        process = self.process
        if process is not None and process.stdin is not None:
            with suppress(OSError, ValueError):
                process.stdin.write(f"{line}\n")
                process.stdin.flush()

    def join(self, until: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()


def keep_alive(children: Sequence[Child], stop: threading.Event, every: float, also: Callable[[], object]) -> None:
    """Replace what dies or stands still, until `stop`. also: done at each round. What fails is told and tried again at the
    next: nobody else watches over the children."""
    last, told = time.monotonic(), ""
    while not stop.wait(every):
        now = time.monotonic()
        if now - last > LATE:
            for child in children:
                if child.lives:
                    child.heard_at = now
        last = now
        acts: list[Callable[[], object]] = [also, *(partial(child.revive, now) for child in children)]
        for act in acts:
            try:
                act()
            except Exception as error:  # noqa: BLE001
                said = f"watching failed: {type(error).__name__}: {error}; it goes on"
                if said != told:
                    told = said
                    tell(said)


def is_stopped(pid: int) -> bool:
    """Held by a signal or a debugger, says the system."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
    except (OSError, IndexError):
        return False
