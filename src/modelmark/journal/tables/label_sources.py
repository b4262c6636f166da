"""What became of the labels of each source: sums that are kept, to which only what came since is added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import TableFiles, opened
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, table_of

#: Unknown predictions whose coming is waited for; with more of them everything is counted anew.
MOST_WAITING: Final = 100_000
_COUNTED: Final = ("accepted", "conflicting", "unknown", "no_such_row")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSource:
    """Rows that one source spoke of. accepted: predicted, and with a label that counts now, whoever said it last.
    conflicting: predicted, and last spoken of in several ways at one time. unknown: of no prediction in the tables.
    no_such_row: of a prediction that has fewer rows. last: when it last spoke."""

    source: str
    accepted: int
    conflicting: int
    unknown: int
    no_such_row: int
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSources:
    """The sums, by source, of the labels and predictions in these files. waiting: ids of unknown predictions."""

    labels: frozenset[str] = frozenset()
    predictions: frozenset[str] = frozenset()
    sums: Mapping[str, LabelSource] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()

    def latest(self, limit: int = 20) -> list[LabelSource]:
        """The sources that spoke last first."""
        return sorted(self.sums.values(), key=lambda one: (-one.last.timestamp(), one.source))[:limit]


NONE: Final = LabelSources()


def label_sources(workspace: Workspace, model: str, before: LabelSources = NONE) -> LabelSources:
    """before: as it was told last; what it counted is not read again, but for rows that are spoken of anew."""
    if not {LABELS, table_of(model)} <= set(table_names(workspace)):
        return NONE
    labels, predictions = TableFiles.of(workspace, LABELS), TableFiles.of(workspace, table_of(model))
    if (labels.names, predictions.names) == (before.labels, before.predictions):
        return before
    grown = before.labels <= labels.names and before.predictions <= predictions.names
    if not grown or len(before.waiting) > MOST_WAITING:
        before = NONE  # files were rewritten: which of their rows are new cannot be told
    with opened() as connection:
        for table, name, known in ((labels, "labels", before.labels), (predictions, "predictions", before.predictions)):
            table.call(connection, name, every_column=False)
            table.call(connection, f"{name}_before", known, every_column=False)
            table.call(connection, f"{name}_since", table.names - known, every_column=False)
        _touch(connection, model, before.waiting)
        now, unknown = _counted(connection, model, "labels", "predictions")
        then, _ = _counted(connection, model, "labels_before", "predictions_before")
        here = connection.execute("SELECT id FROM touched JOIN waiting USING (id)").fetchall()
    sums = {source: _added(before.sums.get(source), one, then.get(source)) for source, one in now.items()}
    return LabelSources(
        labels=labels.names,
        predictions=predictions.names,
        sums={**before.sums, **sums},
        waiting=before.waiting - {id for (id,) in here} | unknown,
    )


def _touch(connection: Any, model: str, waiting: frozenset[str]) -> None:
    """A table `touched` of the predictions whose counts may have changed: those spoken of since, and those waited for
    that came since."""
    import pyarrow as pa

    connection.register("waiting", pa.table({"id": pa.array(sorted(waiting), pa.string())}))
    connection.execute(
        """CREATE TEMP TABLE touched AS SELECT DISTINCT id FROM labels_since WHERE model = ?
        UNION SELECT DISTINCT id FROM predictions_since WHERE model = ? AND id IN (SELECT id FROM waiting)""",
        [model, model],
    )


def _counted(
    connection: Any, model: str, labels: str, predictions: str
) -> tuple[dict[str, LabelSource], frozenset[str]]:
    """Of touched predictions alone: the sums by source, and the ids that are unknown. Ids sort by time, so that their ends
    say which files need not be read."""
    ends = connection.execute("SELECT min(id), max(id) FROM touched").fetchall()[0]
    touched = "model = ? AND id >= ? AND id <= ? AND id IN (SELECT id FROM touched)"
    query = f"""
        WITH said AS (
            SELECT source, id, row, make_timestamp(ns // 1000)::TIMESTAMPTZ AS "at",
                label, ns = max(ns) OVER (PARTITION BY id, row) AS latest
            FROM {labels} WHERE {touched}
        ), settled AS (
            SELECT id, row, min(label) FILTER (latest) = max(label) FILTER (latest) AS one FROM said GROUP BY id, row
        ), predicted AS (
            SELECT id, max(row) + 1 AS rows FROM {predictions} WHERE {touched} GROUP BY id
        ), spoken AS (SELECT source, id, row, max("at") AS last FROM said GROUP BY source, id, row)
        SELECT source, count(*) FILTER (row < rows AND one) AS accepted,
               count(*) FILTER (row < rows AND NOT one) AS conflicting, count(*) FILTER (rows IS NULL) AS unknown,
               count(*) FILTER (row >= rows) AS no_such_row, max(last) AS last,
               list(DISTINCT id) FILTER (rows IS NULL) AS waiting
        FROM spoken JOIN settled USING (id, row) LEFT JOIN predicted USING (id) GROUP BY source"""
    rows = (
        connection.sql(query, params=[model, *ends, model, *ends]).to_arrow_table().to_pylist()
    )  # Arrow keeps times' zones
    waiting = frozenset(id for row in rows for id in row.pop("waiting") or ())
    return {row["source"]: LabelSource(**row) for row in rows}, waiting


def _added(before: LabelSource | None, now: LabelSource, then: LabelSource | None) -> LabelSource:
    """The sum with what touched rows counted then replaced by what they count now."""
    if before is None:
        return now
    changed = {
        name: getattr(before, name) + getattr(now, name) - (getattr(then, name) if then else 0) for name in _COUNTED
    }
    return replace(before, **changed, last=max(before.last, now.last))
