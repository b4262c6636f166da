"""What reaches the disk, in which order: syncs, renames, links and removals of this process, by path."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

Did = tuple[str, str]


class Order:
    """did: (what, path) in order; what: sync, rename (to that path), link (to it) or remove."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.did: list[Did] = []

    def note(self, what: str, path: Any) -> None:
        place = Path(os.fsdecode(path))
        if place.is_relative_to(self.root):
            self.did.append((what, place.relative_to(self.root).as_posix()))

    def where(self, what: str, ending: str) -> list[int]:
        """The places of such acts upon paths that end so."""
        return [n for n, (did, path) in enumerate(self.did) if did == what and path.endswith(ending)]

    def holds(self, *acts: Did) -> None:
        """These happened in this order, each somewhere after the one before."""
        at = -1
        for what, ending in acts:
            later = [n for n in self.where(what, ending) if n > at]
            assert later, f"no {what} of …{ending} after {self.did[: at + 1]}; then came {self.did[at + 1 :]}"
            at = later[0]


@contextmanager
def recorded(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Order]:
    """Everything this process does to files below root while the block runs, threads included."""
    order = Order(root)

    def of_descriptor(name: str, real: Any) -> Any:
        def call(descriptor: int) -> None:
            order.note("sync", os.readlink(f"/proc/self/fd/{descriptor}"))
            real(descriptor)

        return call

    def of_target(what: str, real: Any) -> Any:
        def call(source: Any, target: Any, *args: Any, **more: Any) -> Any:
            done = real(source, target, *args, **more)
            order.note(what, target)
            return done

        return call

    def of_path(what: str, real: Any) -> Any:
        def call(path: Any, *args: Any, **more: Any) -> Any:
            done = real(path, *args, **more)
            order.note(what, path)
            return done

        return call

    with monkeypatch.context() as patch:
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, of_descriptor(name, getattr(os, name)))
        for name in ("rename", "replace"):
            patch.setattr(os, name, of_target("rename", getattr(os, name)))
        patch.setattr(os, "link", of_target("link", os.link))
        for name in ("unlink", "remove"):
            patch.setattr(os, name, of_path("remove", getattr(os, name)))
        yield order
