"""A table of history as the journal of a workspace of its own: what a version answers to each row, at the row's own moment, and
its label when that came."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.timestamps import in_microseconds, timestamps
from modelmark.domain.contract import Contract, Csv
from modelmark.domain.errors import Rejected
from modelmark.domain.labels import read_label
from modelmark.domain.progress import Progress
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.compact import Compactor
from modelmark.journal.wal.records import Labelled, Predicted, Record
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.serving.models import LiveRoute, LoadedModel
from modelmark.serving.tables.columns import Columns
from modelmark.serving.tables.parts import Source, source
from modelmark.serving.tables.scoring import Scored, Scoring, row_of

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]
#: What history is said to come from, in the labels' source.
SOURCE: Final = "history"
_FROM: Final = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """When the rows of a table happened, and when their labels came. time: a column; None: row by row from start on, a step
    apart. labelled_at: a column of moments; None: delay after the row. target: the column of labels."""

    target: str
    time: str | None = None
    start: datetime | None = None
    step: timedelta = timedelta(hours=1)
    labelled_at: str | None = None
    delay: timedelta = timedelta()


@dataclass(slots=True, kw_only=True)
class Past:
    """rows: answered; refused: rows that the contract refuses, or that no model answered, by code. first, last: moments of
    answered rows, seconds since 1970. labels: how many rows have one."""

    rows: int = 0
    labels: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: float = np.inf
    last: float = -np.inf


def write_past(workspace: Workspace, version: LoadedModel, table: Path, when: When, progress: Progress) -> Past:
    """Raises Rejected for a column that is not there or says no moments, and as `serving.tables` does."""
    how = version.contract.data.csv or Csv()
    read = source(table, how)
    columns, past = Columns(version.contract, version.codec, how), Past()
    asked = [name for name in (when.time, when.labelled_at) if name is not None]
    _require(read, [*columns.names, *asked])
    times, labelled = _when(read, when)
    with Writer(workspace.wal, sync=Sync.NEVER) as writer:
        writer.declare(version.schema)
        with closing(Scoring(LiveRoute.alone(version), writer.ids, _FROM)) as scoring:
            done = 0
            for part in read.parts(read.part_rows, wanted={*columns.names, when.target}):
                scored = scoring(columns.typed(part, texts=read.texts), lambda _: columns.typed(part, texts=read.texts))  # noqa: B023
                end = done + len(part)
                records = _records(
                    scored, part, (times[done:end], labelled[done:end]), when.target, version, writer, past
                )
                writer.append_many(list(records))
                done = end
                progress("answer", min(done, read.rows), read.rows)
    progress("answer", read.rows, read.rows)
    compactor = Compactor(workspace)
    while compactor.run().more:
        pass
    return past


def _require(read: Source, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in read.columns]
    if absent:
        raise Rejected(
            f"{read.path.name} has no column {', '.join(map(repr, absent))}", code="MISSING_COLUMN", field="TABLE",
            limit="it has " + ", ".join(read.columns),
        )  # fmt: skip


def _when(read: Source, when: When) -> tuple[Array, Array]:
    """When each row happened and when its label came, in microseconds since 1970, NaN where it is not said. Of a whole column at
    once: whether a day or a month stands first is told by all dates together."""
    if when.time is not None:
        times = _moments(read, when.time, "--time")
    else:
        assert when.start is not None  # one of the two is said
        place = np.arange(read.rows, dtype=np.float64)
        times = (when.start.timestamp() + when.step.total_seconds() * place) * 1e6
    if when.labelled_at is not None:
        return times, _moments(read, when.labelled_at, "--labelled-at")
    return times, times + when.delay / _MICROSECOND


def _moments(read: Source, column: str, option: str) -> Array:
    import pandas as pd

    values = pd.concat(
        [part[column].to_pandas() for part in read.parts(read.part_rows, wanted={column})], ignore_index=True
    )
    found = in_microseconds(timestamps(values))
    if not np.isfinite(found).any():
        raise Rejected(
            f"the column {column!r} says no moments", code="NO_TIMES", field=option,
            limit="dates with or without times of day, or seconds, milliseconds or microseconds since 1970",
            hint="rows that are merely in order take --start and --step-minutes",
        )  # fmt: skip
    return found


def _records(
    scored: Scored,
    part: pa.Table,
    when: tuple[Array, Array],
    target: str,
    version: LoadedModel,
    writer: Writer,
    past: Past,
) -> Iterator[Record]:  # fmt: skip
    """One prediction a row, so that no two hang together."""
    times, since = when
    labels = part[target].to_pylist() if target in part.column_names else [None] * len(part)
    model, name = version.model, str(version.id)
    past.refused["no answer of the model"] += len(scored.fallbacks)
    for code, n in Counter(error.code for error in scored.refused.values()).items():
        past.refused[code] += n
    for run in scored.runs:
        for place, at in enumerate(run.at.tolist()):
            if not np.isfinite(times[at]):
                past.refused["BAD_TIME"] += 1
                continue
            one, micros = row_of(scored.rows, at), int(times[at])
            id = writer.ids.next(micros * 1000, 1)
            flags = [(0, column, flag) for _, column, flag in scored.flags.get(at, ())]
            yield Predicted(
                id, 0, model, name, "champion", "model", _FROM, "", 1, one.numbers, one.texts, flags,
                run.scores[place].tobytes(), 0, (micros * 1000).to_bytes(8, "little", signed=True),
            )  # fmt: skip
            past.rows += 1
            past.first, past.last = min(past.first, micros / 1e6), max(past.last, micros / 1e6)
            if (label := _label(version.contract, id, labels[at], since[at], model, past)) is not None:
                yield label


_MICROSECOND: Final = timedelta(microseconds=1)


def _label(contract: Contract, id: str, value: object, since: float, model: str, past: Past) -> Labelled | None:
    if value is None or value == "" or value != value or not np.isfinite(since):
        return None
    try:
        given = read_label(contract, place=0, id=id, row=0, label=value)  # type: ignore[arg-type]
    except Rejected as error:
        past.refused[f"label: {error.code}"] += 1
        return None
    past.labels += 1
    moment = int(since) * 1000
    return Labelled(id, 0, moment, model, given.label, SOURCE, moment)
