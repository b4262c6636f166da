"""How many rows a version predicted in spans of time, for how many of them a label has come, and when it last answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, said_by
from modelmark.journal.tables.schema import LABELS, table_of

#: Rows that have a label; of those that have several, the latest is not in conflict with another of its time.
_LABELLED: Final = """
    SELECT id, row FROM (
        SELECT id, row, ns, min(label) = max(label) AS one FROM labels WHERE model = ? AND ns <= ? GROUP BY id, row, ns
    ) GROUP BY id, row HAVING arg_max(one, ns)
"""


@dataclass(frozen=True, slots=True)
class CohortSize:
    """rows: predicted, and answered in one of the ways asked for. labels: those of them that have one."""

    rows: int
    labels: int


def cohort_sizes(
    workspace: Workspace,
    model: str,
    version: str,
    starts: Sequence[datetime],
    end: datetime,
    *,
    paths: Collection[str],
    known_by: datetime | None = None,
) -> list[CohortSize]:
    """The size of each cohort [start, end), in the order of starts; one scan. Empty where no label has come at all.

    version: digest hex. paths: what answered, as `Predicted.path` has it. known_by: labels that were said later do not count.
    """
    counted = ", ".join('count(*) FILTER (p."at" >= ?), count(l.id) FILTER (p."at" >= ?)' for _ in starts)
    query = f"""SELECT {counted} FROM predictions p
        LEFT JOIN ({_LABELLED}) l ON p.id = l.id AND p.row = l.row
        WHERE p."at" >= ? AND p."at" < ? AND p.model = ? AND p.version = ? AND list_contains(?, p.path)
        AND coalesce(p.score, p.value) IS NOT NULL"""
    twice = [start for start in starts for _ in range(2)]
    with connected(workspace, predictions=table_of(model), labels=LABELS) as connection:
        if connection is None or not starts:
            return []
        values = [
            *twice,
            model,
            said_by(known_by),
            min(starts),
            end,
            model,
            version.removeprefix("sha256:"),
            sorted(paths),
        ]
        (found,) = connection.execute(query, values).fetchall()
    return [CohortSize(int(rows), int(labels)) for rows, labels in zip(found[::2], found[1::2], strict=True)]


def labelled_since(workspace: Workspace, model: str, since: datetime) -> int:
    """How many rows a label has come for later than that."""
    query = (
        "SELECT count(*) FROM (SELECT DISTINCT id, row FROM labels WHERE model = ? AND ns > epoch_ns(?::TIMESTAMPTZ))"
    )
    with connected(workspace, threads=1, labels=LABELS) as connection:
        if connection is None:
            return 0
        return int(connection.execute(query, [model, since]).fetchone()[0])


def last_answers(workspace: Workspace, model: str) -> Mapping[str, datetime]:
    """When each version last answered, by digest hex."""
    query = 'SELECT version, max("at") AS last FROM predictions WHERE model = ? GROUP BY version'
    with connected(workspace, threads=1, predictions=table_of(model)) as connection:
        if connection is None:
            return {}
        found = connection.sql(query, params=[model]).to_arrow_table()  # Arrow keeps times' zones
    return {row["version"]: row["last"] for row in found.to_pylist()}
