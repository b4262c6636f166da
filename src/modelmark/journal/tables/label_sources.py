"""What became of the labels of each source, as the journal's tables tell it now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.schema import LABELS, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSource:
    """Rows that one source spoke of. accepted: predicted, and said in one way. conflicting: said in several ways at one time.
    unknown: of no prediction in the tables. no_such_row: of a prediction that has fewer rows. last: when it last spoke."""

    source: str
    accepted: int
    conflicting: int
    unknown: int
    no_such_row: int
    last: datetime


def label_sources(workspace: Workspace, model: str, *, limit: int = 20) -> list[LabelSource]:
    """The sources that spoke last first; one scan of the labels and of the predictions' ids."""
    query = """
        WITH said AS (
            SELECT source, id, row, "at", min(label) OVER same <> max(label) OVER same AS conflict
            FROM labels WHERE model = ? WINDOW same AS (PARTITION BY id, row, ns)
        ), predicted AS (
            SELECT id, max(row) + 1 AS rows FROM predictions
            WHERE model = ? AND id IN (SELECT id FROM said) GROUP BY id
        )
        SELECT source, count(DISTINCT (id, row)) FILTER (row < rows AND NOT conflict) AS accepted,
               count(DISTINCT (id, row)) FILTER (row < rows AND conflict) AS conflicting,
               count(DISTINCT (id, row)) FILTER (rows IS NULL) AS unknown,
               count(DISTINCT (id, row)) FILTER (row >= rows) AS no_such_row, max("at") AS last
        FROM said LEFT JOIN predicted USING (id) GROUP BY source ORDER BY last DESC, source LIMIT ?"""
    with connected(workspace, predictions=table_of(model), labels=LABELS) as connection:
        if connection is None:
            return []
        found = connection.sql(query, params=[model, model, limit]).to_arrow_table()  # Arrow keeps times' zones
    return [LabelSource(**row) for row in found.to_pylist()]
