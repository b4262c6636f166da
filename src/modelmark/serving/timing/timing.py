"""Where the time of one request went, for whoever asked: the caller, in `Server-Timing`, or a trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

#: What a request goes through, in order. batch: from the moment it was taken to its answer, with all that were answered beside it.
STAGES: Final = ("parse", "queue", "batch", "validate", "model", "guard", "journal")


class Timing:
    """begin: when all of the request had arrived. Times are by `perf_counter`, in seconds."""

    __slots__ = ("asked", "begin", "facts", "parts", "then")

    def __init__(self, begin: float, *, asked: bool, then: Callable[[Timing, float], None] | None = None) -> None:
        """asked: the caller wants to read it. then: is told of it, with its end, once the request was answered or refused."""
        self.begin, self.asked, self.then = begin, asked, then
        self.parts: dict[str, tuple[float, float]] = {}
        self.facts: dict[str, str | int] = {}

    def part(self, name: str, begin: float, end: float) -> None:
        """A stage; of one that comes again, as when each is tried alone, the last counts."""
        self.parts[name] = begin, end

    def header(self) -> bytes:
        """A whole line: milliseconds of each stage."""
        told = (
            f"{name};dur={1000 * (self.parts[name][1] - self.parts[name][0]):.3f}"
            for name in STAGES
            if name in self.parts
        )
        return b"server-timing: " + ", ".join(told).encode() + b"\r\n"

    def end(self, at: float) -> None:
        if self.then is not None:
            self.then(self, at)


class Traces(Protocol):
    """What follows requests through several services; implemented by `tracing.Tracer`, which is loaded only where it is wanted."""

    def begin(self, at: float, parent: bytes | None, *, asked: bool) -> Timing | None:
        """None for a request that is not followed. parent: the header `traceparent`."""
        ...

    def close(self) -> None: ...
