"""A folder of a bench's own, that goes when the bench ends and nobody works in it any more."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

#: What follows an act is finished by a process that outlives it; it may take so long, in seconds.
PATIENCE: Final = 60.0


@contextmanager
def scratch_folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="modelmark-bench-") as folder:
        yield folder
        until = time.monotonic() + PATIENCE
        while (left := working_in(folder)) and time.monotonic() < until:
            time.sleep(0.05)
        if left:
            raise TimeoutError(f"still working in {folder} after {PATIENCE:.0f} s: {', '.join(left)}")


def working_in(folder: str) -> list[str]:
    """Command lines of the processes that were told of this folder; a process that is being ended may be among them."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                words = (path / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
                if any(folder in word for word in words):
                    found.append(" ".join(words))
    return found
