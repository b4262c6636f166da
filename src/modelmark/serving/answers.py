"""What is answered for one call, on its way to the journal and the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from modelmark.contract.rows import Flag, RowCodec, Rows
from modelmark.domain.classes import Decision
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.prediction import Path
from modelmark.serving.models import LiveRoute, Loaded


@dataclass(slots=True)
class Answer:
    """version: the one that really answered. scores: rows x classes, empty when a person will answer."""

    id: str
    version: Loaded
    arm: str
    path: Path
    decisions: list[Decision]
    flags: list[Flag]
    scores: bytes


class Framed(NamedTuple):
    """An answer that is not plain JSON. extra: whole header lines."""

    body: bytes
    content_type: bytes
    extra: bytes


class Exchange(Protocol):
    """One request on the wire, waiting for its answer."""

    @property
    def gone(self) -> bool:
        """The caller has hung up."""
        ...

    request_id: str

    def reply(
        self, status: int, body: bytes, content_type: bytes = b"application/json", extra: bytes = b""
    ) -> None: ...


@dataclass(slots=True)
class Call:
    """A prediction asked for. received: by `perf_counter`. size: bytes of the body.

    reparse: the same body read with another version's codec, for fallbacks and other arms. render: the answer's bytes.
    """

    exchange: Exchange
    route: LiveRoute
    arm: int
    rows: Rows
    entity: str
    received: float
    size: int
    reparse: Callable[[RowCodec], Rows]
    render: Callable[[Answer], bytes | Framed]
    answer: Answer | None = None
    error: ModelmarkError | None = None

    @property
    def version(self) -> Loaded:
        return self.route.arms[self.arm].version
