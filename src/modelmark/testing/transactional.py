"""What the in-memory twins share: all of an act, or none of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy


class Transactional:
    """Its dictionaries and lists hold values that never change, so a shallow copy of each brings back what was."""

    def __init__(self) -> None:
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._lock:
            before = {name: copy(value) for name, value in vars(self).items() if isinstance(value, (dict, list))}
            try:
                yield
            except BaseException:
                vars(self).update(before)
                raise
