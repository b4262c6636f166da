"""A whole table's predictions into a file, journaled as those of the endpoint are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.contract.timestamps import moments
from modelmark.domain.contract import Csv
from modelmark.domain.digest import Digest
from modelmark.domain.errors import Missing, ModelmarkError, Rejected
from modelmark.domain.predictions.event_time import AHEAD
from modelmark.domain.progress import Progress
from modelmark.domain.routes import Route
from modelmark.domain.workspace import Workspace
from modelmark.feedback.labels import rows_of_each
from modelmark.journal.wal.writer import Sync, Writer
from modelmark.seal.keys import Verifier
from modelmark.serving.believed import Believed
from modelmark.serving.models import LiveArm, LiveRoute, LoadedModel
from modelmark.serving.tables.columns import Columns, Typed
from modelmark.serving.tables.output import Form, Job, Output
from modelmark.serving.tables.parts import Source, source
from modelmark.serving.tables.scoring import Scored, Scoring
from modelmark.serving.telling import tell

if TYPE_CHECKING:
    import pyarrow as pa

#: What stands for every column of the table.
ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedTable:
    """rows: of the table; went_on_at: rows that an earlier run had answered. served_by: rows by what answered them; refused:
    rows without an answer, by the error's code. seconds: of this run."""

    model: str
    version: str
    table: str
    out: str
    rows: int
    went_on_at: int
    served_by: Mapping[str, int]
    refused: Mapping[str, int]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictTable:
    """The champion answers every row: who scores a table is one caller, and canaries are for many."""

    workspace: Workspace
    verifier: Callable[[], Verifier]

    def __call__(
        self,
        model: str,
        table: Path,
        out: Path,
        *,
        keep: Sequence[str] = (),
        at: str | None = None,
        again: bool = False,
        progress: Progress,
    ) -> PredictedTable:
        """keep: columns of the table that stand beside the answers. at: the column that says when each row happened. again: begin
        anew, where an earlier run was cut short.

        Raises Missing where nothing serves or there is no table, NoMark or Tampered for a version that may not serve,
        Rejected for a table that cannot be read or lacks columns, Conflict as `Output` does, NotYet where the journal takes
        nothing.
        """
        started = perf_counter()
        live = self._live(model)
        version = live.champion
        how = version.contract.data.csv or Csv()
        read = source(table, how)
        columns = Columns(version.contract, version.codec, how)
        form = Form(live, read.columns if list(keep) == [ALL] and ALL not in read.columns else keep)
        _require(read, columns.names, "TABLE")
        _require(read, form.keep, "--keep")
        _require(read, [at] if at is not None else [], "--at")
        job = Job(read.digest, str(version.id), read.part_rows, form.keep)
        with Output.opened(out, job, again=again) as output, Writer(self.workspace.wal, sync=Sync.ALWAYS) as writer:
            for one in live.versions:
                writer.declare(one.schema)
            if (last := output.doubtful) is not None and rows_of_each(self.workspace, model, {last}):
                output.keep()  # it was journaled before the cut
            before = output.done * job.part_rows
            with closing(Scoring(live, writer.ids, f"table:{read.digest[:16]}")) as scoring:
                run = _Run(read, scoring, columns, form, output, writer, at)
                rows = before
                for count in run.parts(job.part_rows):
                    rows += count
                    progress("predict", min(rows, read.rows), read.rows)
            counts = output.finish()
        progress("predict", read.rows, read.rows)
        served_by, refused = counts["served_by"], counts["error_code"]
        return PredictedTable(
            model=model, version=version.label, table=str(table), out=str(out),
            rows=sum(served_by.values()) + sum(refused.values()), went_on_at=before, served_by=served_by, refused=refused,
            seconds=perf_counter() - started,
        )  # fmt: skip

    def _live(self, model: str) -> LiveRoute:
        believed, verifier = Believed(self.workspace), self.verifier()
        route = believed.snapshots(verifier).snapshots[0].route(model)
        if route is None:
            raise Missing(
                f"{model} serves nothing, so nothing may answer", code="NOTHING_SERVES", field="--model",
                hint="modelmark status says what a release waits for",
            )  # fmt: skip
        arm = route.champion
        champion, _ = believed.load(arm.version, verifier)
        return LiveRoute(model, (LiveArm(arm.name, 1.0, champion),), _previous(believed, route, verifier))


def _previous(believed: Believed, route: Route, verifier: Verifier) -> LoadedModel | None:
    """As at the endpoint: one that does not load is told, and stands in for nobody."""
    id: Digest | None = route.previous
    if id is None:
        return None
    try:
        return believed.load(id, verifier)[0]
    except ModelmarkError as error:
        tell(f"version {id.short} of {route.model} does not load: {error}")
        return None


def _require(read: Source, names: Sequence[str], field: str) -> None:
    absent = [name for name in names if name not in read.columns]
    if absent:
        raise Rejected(
            f"{read.path.name} has no column {', '.join(map(repr, absent))}", code="MISSING_COLUMN", field=field,
            limit="it has " + ", ".join(read.columns),
        )  # fmt: skip


def _happened(part: pa.Table, column: str) -> tuple[NDArray[np.int64], dict[int, ModelmarkError]]:
    """When each row was, in nanoseconds since 1970, and what is wrong where it says no moment that can have been."""
    found = moments(part[column].to_pandas())
    latest = (time.time_ns() + AHEAD) / 1000
    fine = (found > 0) & (found <= latest)
    limit = "a date, ISO 8601 text, or seconds, milliseconds or microseconds since 1970, not five minutes from now"
    wrong: dict[int, ModelmarkError] = {
        row: Rejected("this is no moment, or one to come", code="BAD_TIME", field=column, row=row, limit=limit)
        for row in np.flatnonzero(~fine).tolist()
    }
    return np.where(fine, found, 0).astype(np.int64) * 1000, wrong


@dataclass(frozen=True, slots=True)
class _Run:
    """Reads one part ahead, and writes one part behind."""

    read: Source
    scoring: Scoring
    columns: Columns
    form: Form
    output: Output
    writer: Writer
    at: str | None

    def parts(self, part_rows: int) -> Iterator[int]:
        """How many rows each part had, once it is whole."""
        inputs = {name for version in self.scoring.versions for name in version.codec.names}
        wanted = inputs | {*self.form.keep} | ({self.at} if self.at is not None else set())
        parts = self.read.parts(part_rows, after=self.output.done, wanted=wanted)
        first = self.output.done * part_rows
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as keeper:
            kept: Future[int] | None = None
            ahead = reader.submit(next, parts, None)
            while (part := ahead.result()) is not None:
                ahead = reader.submit(next, parts, None)
                happened, wrong = _happened(part, self.at) if self.at is not None else (None, {})
                scored = self._scored(part, wrong)
                if kept is not None:
                    yield kept.result()
                kept = keeper.submit(self._keep, part, first, scored, happened)
                first += len(part)
            if kept is not None:
                yield kept.result()

    def _scored(self, part: pa.Table, wrong: Mapping[int, ModelmarkError]) -> Scored:
        how = self.scoring.version.contract.data.csv or Csv()

        def stand_in(version: LoadedModel) -> Typed:
            columns = Columns(version.contract, version.codec, how)
            _require(self.read, columns.names, "TABLE")
            return columns.typed(part, texts=self.read.texts)

        typed = self.columns.typed(part, texts=self.read.texts)
        return self.scoring(Typed(typed.rows, {**wrong, **typed.wrong}) if wrong else typed, stand_in)

    def _keep(self, part: pa.Table, first: int, scored: Scored, happened: NDArray[np.int64] | None) -> int:
        """Written, then journaled, then whole: a part that is whole was journaled, and what was cut is known by its ids."""
        self.output.prepare(self.form.table(part, first, scored))
        self.writer.append_many(self.scoring.records(scored, happened))
        self.output.keep()
        return len(part)
