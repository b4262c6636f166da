"""What a model's champion answers to a part of a table: checked, run, guarded, and what it cannot answer left to its fallbacks,
as at the endpoint. One thing is other: nobody waits, so nothing is too late."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.rows import Flag, Rows
from modelmark.domain.errors import ModelmarkError, OutputInvalid
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.predictions.prediction_ids import PredictionIds
from modelmark.journal.wal.records import Predicted, Refused
from modelmark.serving import fallback
from modelmark.serving.answers import Answer, PredictRequest
from modelmark.serving.flavours import Runs
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.tables.columns import Typed
from modelmark.serving.telling import tell_again
from modelmark.stats.decisions import decided

#: Rows of one run of the model.
RUN_ROWS: Final = 1024

#: What became of a run of the model: scores and which rows of them are bad, or what it raised.
_Outcome = tuple[NDArray[np.float64], NDArray[np.bool_] | None] | Exception

#: The part as another version reads it.
Reread = Callable[[LoadedModel], Typed]


@dataclass(frozen=True, slots=True)
class Ran:
    """Rows that the model answered in one run, one prediction of so many rows. at: their places in the part; scores: rows x
    classes, or rows x 1."""

    id: str
    at: NDArray[np.intp]
    decided: NDArray[np.intp]
    scores: NDArray[np.float64]


@dataclass(slots=True)
class Scored:
    """A part's outcome: each row, by its place in the part, was answered in a run of the model or by a fallback, or refused.

    rows: of the part; flags: of its rows, those that have some.
    """

    rows: Rows
    refused: dict[int, ModelmarkError]
    runs: list[Ran] = field(default_factory=list)
    fallbacks: dict[int, Answer] = field(default_factory=dict)
    flags: dict[int, list[Flag]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows that the contract lets through, ready for the model. at: their places in the part."""

    at: NDArray[np.intp]
    numbers: NDArray[np.float64]
    texts: Sequence[str]

    def piece(self, start: int, end: int) -> _Asked:
        width = len(self.texts) // len(self.at)
        return _Asked(self.at[start:end], self.numbers[start:end], self.texts[start * width : end * width])


class Scoring:
    """request_id: what the records of this table are journaled under. Runs of the model go over the processors, as many at a
    time as it allows."""

    def __init__(self, route: LiveRoute, ids: PredictionIds, request_id: str) -> None:
        self._route, self._ids = route, ids
        self._nobody = _Nobody(request_id)
        self._arm = route.arms[0]
        self.version = route.champion
        self._threads = ThreadPoolExecutor(_at_a_time(self.version), thread_name_prefix="table")

    @property
    def versions(self) -> tuple[LoadedModel, ...]:
        """Those that may be asked."""
        return self._route.versions

    def close(self) -> None:
        self._threads.shutdown()

    def __call__(self, part: Typed, reread: Reread) -> Scored:
        """reread: for the previous version to stand in."""
        scored = Scored(part.rows, dict(part.wrong))
        asked = self._let_through(part, scored)
        stand_in = _StandIn(self._route.previous, reread)
        pieces = [asked.piece(start, start + RUN_ROWS) for start in range(0, len(asked.at), RUN_ROWS)]
        for piece, outcome in zip(pieces, self._threads.map(self._outcome, pieces), strict=True):
            self._settle(piece, outcome, stand_in, scored)
        return scored

    def records(self, scored: Scored, happened: NDArray[np.int64] | None = None) -> list[Predicted | Refused]:
        """For the journal: a prediction a run, then how many rows were refused for what. happened: when, row by row of the part,
        in nanoseconds since 1970; None: now."""

        def event(at: Any) -> bytes:
            return b"" if happened is None else happened[at].astype("<i8").tobytes()

        now, version, path = time.time_ns(), str(self.version.id), str(ServedBy.MODEL)
        model, arm, request_id = self.version.model, self._arm.name, self._nobody.request_id
        found: list[Predicted | Refused] = []
        for run in scored.runs:
            rows = rows_at(scored.rows, run.at)
            flags = [(place, name, flag) for place, at in enumerate(run.at.tolist())
                     for _, name, flag in scored.flags.get(at, ())] if scored.flags else []  # fmt: skip
            found.append(
                Predicted(
                    run.id, now, model, version, arm, path, request_id, "", rows.count, rows.numbers, rows.texts, flags,
                    run.scores.tobytes(), 0, event(run.at),
                )
            )  # fmt: skip
        found += [
            Predicted(
                answer.id, now, model, str(answer.version.id), arm, str(answer.served_by), request_id, "", 1,
                answer.rows.numbers, answer.rows.texts, answer.flags, answer.packed, 0, event(at),
            )
            for at, answer in scored.fallbacks.items()
        ]  # fmt: skip
        why = Counter((error.code, error.field or "") for error in scored.refused.values())
        return found + [Refused(now, model, code, name, n, version, arm) for (code, name), n in sorted(why.items())]

    def _let_through(self, part: Typed, scored: Scored) -> _Asked:
        """Where a row of the part is refused, each is checked as if it came alone."""
        codec = self.version.codec
        if not part.wrong:
            checked = codec.check([part.rows])
            if not checked.refused:
                for row, name, flag in checked.flags.get(0, ()):
                    scored.flags.setdefault(row, []).append((0, name, flag))
                return _Asked(np.arange(part.rows.count), checked.numbers, checked.texts)
        places = [at for at in range(part.rows.count) if at not in part.wrong]
        if not places:
            return _Asked(np.empty(0, np.intp), np.empty((0, len(codec.numeric))), [])
        checked = codec.check([row_of(part.rows, at) for at in places])
        for position, error in checked.refused.items():
            error.row = places[position]
            scored.refused[places[position]] = error
        scored.flags.update({places[position]: found for position, found in checked.flags.items()})
        kept = np.array([places[position] for position in checked.kept], np.intp)
        return _Asked(kept, checked.numbers, checked.texts)

    def _outcome(self, asked: _Asked) -> _Outcome:
        """Scores, and which rows of them are bad; or what a run raised."""
        try:
            scores = self.version.execution.run(asked.numbers, asked.texts)
            return scores, self.version.guard.check(scores, len(asked.at))
        except Exception as error:  # noqa: BLE001  # whatever a model's runtime raises
            return error

    def _settle(self, asked: _Asked, outcome: _Outcome, stand_in: _StandIn, scored: Scored) -> None:
        """What failed is run again by halves, until it is known whose row it was."""
        version, size = self.version, len(asked.at)
        if isinstance(outcome, Exception):
            if size > 1:
                for half in (asked.piece(0, size // 2), asked.piece(size // 2, size)):
                    self._settle(half, self._outcome(half), stand_in, scored)
                return
            tell_again(f"model {version.model} {version.label} failed: {type(outcome).__name__}")
            why = OutputInvalid("the model could not compute an answer")
            self._fall_back(int(asked.at[0]), why, stand_in, scored)
            return
        scores, bad = outcome
        fine = np.ones(size, bool) if bad is None else ~bad
        at, kept = asked.at[fine], scores[fine]
        if len(at):
            id = self._ids.next(time.time_ns(), len(at))
            scored.runs.append(Ran(id, at, self._decided(kept), kept))
        for place in asked.at[~fine].tolist():
            why = OutputInvalid("the model's answer is not finite or out of its range", field="outputs", row=place)
            self._fall_back(place, why, stand_in, scored)

    def _decided(self, scores: NDArray[np.float64]) -> NDArray[np.intp]:
        decide = self.version.decide
        if decide.regression:
            return np.empty(0, np.intp)
        positive = decide.positive if decide.binary else None
        return decided(scores, positive=positive, threshold=decide.threshold).astype(np.intp)

    def _fall_back(self, at: int, why: ModelmarkError, stand_in: _StandIn, scored: Scored) -> None:
        row = row_of(scored.rows, at)
        request = PredictRequest(self._nobody, self._route, 0, row, "", 0.0, 0.0, 0, lambda _: stand_in.row(at))
        id = self._ids.next(time.time_ns(), 1)
        try:
            scored.fallbacks[at] = fallback.answer(request, id, scored.flags.get(at, []), why, in_time=True)
        except ModelmarkError as error:
            scored.refused[at] = error


def row_of(rows: Rows, at: int) -> Rows:
    """One of them alone."""
    k, m = len(rows.numbers) // rows.count, len(rows.texts) // rows.count
    return Rows(1, rows.numbers[at * k : (at + 1) * k], rows.texts[at * m : (at + 1) * m])


def rows_at(rows: Rows, at: NDArray[np.intp]) -> Rows:
    """Some of them, in that order."""
    k, m = len(rows.numbers) // rows.count, len(rows.texts) // rows.count
    first, last = int(at[0]), int(at[-1]) + 1
    if last - first == len(at):
        return Rows(len(at), rows.numbers[first * k : last * k], rows.texts[first * m : last * m])
    numbers = np.frombuffer(rows.numbers, np.uint8).reshape(rows.count, k)[at]
    return Rows(len(at), numbers.tobytes(), [rows.texts[row * m + place] for row in at.tolist() for place in range(m)])


def _at_a_time(version: LoadedModel) -> int:
    """A model that is never slow may only be right on one thread; one of a process or elsewhere takes turns there."""
    if version.execution.flavour.runs is Runs.LOOP:
        return 1
    return max(len(os.sched_getaffinity(0)), version.execution.at_a_time)


class _StandIn:
    """A part as the previous version reads it, once somebody asks."""

    def __init__(self, version: LoadedModel | None, reread: Reread) -> None:
        self._version, self._reread = version, reread
        self._read: Typed | None = None

    def row(self, at: int) -> Rows:
        """Raises Rejected where that version cannot be sent this row."""
        assert self._version is not None  # else nobody asks
        if self._read is None:
            self._read = self._reread(self._version)
        if at in self._read.wrong:
            raise self._read.wrong[at]
        return row_of(self._read.rows, at)


class _Nobody:
    """Implements `Responder` for rows that no caller waits for: their answers are returned."""

    gone = False

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id

    def answer(self, answer: Answer) -> None:
        raise NotImplementedError

    def refuse(self, error: ModelmarkError) -> None:
        raise NotImplementedError
