"""A prediction asked for, and what is answered, between a transport and the model. Neither knows HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from modelmark.contract.rows import Checked, Flag, RowCodec, Rows
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.timing.timing import Timing


class Answer(msgspec.Struct, eq=False):
    """version: the one that really answered; rows: the request's, as that version reads them.

    decided: positions of the classes decided for, one a row; none for a regression, or when a person will answer.
    scores: rows x classes, or rows x 1, row-major; empty when a person will answer. packed: the same, float64 little-endian.
    """

    id: str
    version: LoadedModel
    arm: str
    served_by: ServedBy
    decided: list[int]
    flags: list[Flag]
    scores: list[float]
    packed: bytes
    rows: Rows
    cached: bool = False  # computed for an earlier request


class Responder(Protocol):
    """Where one request's outcome goes. Exactly one of `answer` and `refuse` reaches the caller.

    request_id: the caller's own, or one made for it; journaled.
    """

    request_id: str

    @property
    def gone(self) -> bool:
        """The caller has hung up: nothing needs to be computed."""
        ...

    def answer(self, answer: Answer) -> None:
        """Send it; its record is in the journal. When this raises, nothing was sent and `refuse` follows."""
        ...

    def refuse(self, error: ModelmarkError) -> None:
        """Say why there is no answer, in the protocol's own form. Does not raise."""
        ...


class PredictRequest(msgspec.Struct, eq=False):
    """One prediction asked for. received, due: by `perf_counter`; an answer after `due` is too late. size: in bytes.

    reparse: the same bytes read with another version's codec, for fallbacks and other arms. caller: whom it counts for when
    many want more than there is. timing: None where nobody asks where its time goes. event: when it happened, as the journal
    has it.
    answer and all after it are the batcher's notes. apart: it waits for a run off the loop; alone: it must have it alone.
    checked: its rows as the contract lets them through. key: to keep its answer by. turn, entered, predicted: its place in a
    lane, when it was let in, and how many seconds it was to take.
    """

    responder: Responder
    route: LiveRoute
    arm: int
    rows: Rows
    entity: str
    received: float
    due: float
    size: int
    reparse: Callable[[RowCodec], Rows]
    caller: bytes = b""
    timing: Timing | None = None
    event: bytes = b""
    answer: Answer | None = None
    error: ModelmarkError | None = None
    done: bool = False
    apart: bool = False
    alone: bool = False
    checked: Checked | None = None
    key: bytes = b""
    turn: float = 0.0
    entered: float = 0.0
    predicted: float = 0.0

    @property
    def version(self) -> LoadedModel:
        return self.route.arms[self.arm].version

    @property
    def previous(self) -> LoadedModel | None:
        """What `previous_version` falls back to: before a canary, the champion serves. An experiment's control is the champion."""
        champion = self.route.champion
        return champion if self.version is not champion else self.route.previous
