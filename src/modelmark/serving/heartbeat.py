"""What a child process owes its parent: a line now and then while it lives, and its end when the parent has gone."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Final

#: Seconds between two lines.
EVERY: Final = 0.25
#: Begins each.
ALIVE: Final = "alive"


def is_supervised() -> bool:
    """A `Child` started this process."""
    return bool(os.environ.get("MODELMARK_SUPERVISED"))


def beat(lives: Callable[[], bool] = lambda: True, more: Callable[[], str] = str) -> None:
    """In a process that a `Child` started: say on standard output, from a thread of its own, that we live, while `lives`
    says so. A parent that reads no more holds up that thread alone. more: what else is said each time, on the same line."""
    if is_supervised():
        threading.Thread(target=_beat, args=(lives, more), name="heartbeat", daemon=True).start()


def _beat(lives: Callable[[], bool], more: Callable[[], str]) -> None:
    while True:
        if lives():
            try:
                os.write(1, f"{ALIVE} {more()}".rstrip().encode() + b"\n")
            except OSError:
                return  # it has gone
        time.sleep(EVERY)


def follow_parent() -> None:
    """In a process that a `Child` started: tell that it lives, and end it in good order when whoever started it is gone,
    killed or not."""
    if not is_supervised():
        return
    beat()

    def wait() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()
