"""What was said of entities, as rows of the table `observed`, and the predictions that it is about.

`observed`: entity, at (when it became true), ns (when it was said, nanoseconds), model, label (as text), value (when it is a
number), source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from modelmark.domain.classes import class_text
from modelmark.domain.strict import Scalar
from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, said_by
from modelmark.journal.tables.query import quoted
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, table_of
from modelmark.journal.wal.records import Labelled, Observed

OBSERVED: Final = "observed"
#: How long what was said waits for its prediction, and how long before it that may have happened.
BACK: Final = timedelta(days=90)
#: How long predictions take at most until they are in the tables; what waits longer is astray.
LONG: Final = timedelta(hours=1)
#: So many are matched at a time.
MOST: Final = 10_000
_NONE: Final = {
    "labels": """CREATE VIEW labels AS SELECT ''::VARCHAR AS id, 0::INTEGER AS row, 0::BIGINT AS ns, ''::VARCHAR AS model
        WHERE false""",
    "predictions": """CREATE VIEW predictions AS SELECT ''::VARCHAR AS id, 0::INTEGER AS row, now() AS at, ''::VARCHAR AS model,
        ''::VARCHAR AS entity WHERE false""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """labels: for the journal, those that are not there yet. waiting: how many were said of entities of which no prediction is
    known from before; astray: of those, said long ago. several: how many mean an entity that one prediction has in several rows,
    so that nobody can say which is meant."""

    labels: Sequence[Labelled] = ()
    waiting: int = 0
    astray: int = 0
    several: int = 0


def observed_table(records: Sequence[Observed]) -> Any:
    import pyarrow as pa

    numbers = [float(r.label) if isinstance(r.label, (int, float)) else None for r in records]
    return pa.table(
        {
            "entity": pa.array([r.entity for r in records], pa.string()),
            "at": pa.array([r.event // 1000 for r in records], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "ns": pa.array([r.at for r in records], pa.int64()),
            "model": pa.array([r.model for r in records], pa.string()),
            "label": pa.array([class_text(r.label) for r in records], pa.string()),
            "value": pa.array(numbers, pa.float64()),
            "source": pa.array([r.source for r in records], pa.string()),
        }
    )


def match(
    workspace: Workspace, model: str, now: datetime, *, key: str | None, parse: Callable[[str], Scalar]
) -> Matched:
    """Of what was said in the last `BACK`, each with the last prediction about its entity that happened no later, and no more than
    `BACK` before. key: the column of the inputs that names the entity where the request did not. parse: a label from its text."""
    names = table_names(workspace)
    others = {"predictions": table_of(model), "labels": LABELS}
    wanted = {"observed": OBSERVED} | {name: table for name, table in others.items() if table in names}
    with connected(workspace, threads=1, **wanted) as connection:
        if connection is None:
            return Matched()
        for name in others.keys() - wanted.keys():
            connection.execute(_NONE[name])
        known = set(connection.table("predictions").columns)
        own = f", {quoted(key)}::VARCHAR" if key in known and key is not None else ""
        values = [now - 2 * BACK, model, model, said_by(now - BACK), said_by(now - LONG), model]
        (counts,) = connection.execute(f"{_MATCH.format(own=own)} {_COUNTS}", values).fetchall()
        rows = connection.execute(f"{_MATCH.format(own=own)} {_ROWS}", [*values, MOST]).fetchall()
    found = [Labelled(id, row, ns, model, parse(text), source, at * 1000) for id, row, ns, at, text, source in rows]
    waiting, astray, several = (int(count) for count in counts)
    return Matched(labels=found, waiting=waiting, astray=astray, several=several)


#: A request's entity is what it says, else what its row does. The label is text where it is a class; a number is its value.
_MATCH: Final = """
    WITH whose AS (
        SELECT id, min("row") AS "row", min("at") AS "at", count(*) AS rows, unit FROM (
            SELECT id, "row", "at", coalesce(nullif(entity, ''){own}) AS unit FROM predictions WHERE "at" >= ? AND model = ?
        ) WHERE unit IS NOT NULL GROUP BY id, unit
    ), said AS (SELECT * FROM observed WHERE model = ? AND ns >= ?),
    found AS (
        SELECT w.id, w."row", s.ns, epoch_us(s."at") AS micros, s.label, s.source, w.rows, s.ns < ? AS old
        FROM said s ASOF LEFT JOIN whose w ON s.entity = w.unit AND s."at" >= w."at"
    )
    , open AS (
        SELECT f.* FROM found f LEFT JOIN (SELECT DISTINCT id, "row", ns FROM labels WHERE model = ?) l
            ON f.id = l.id AND f."row" = l."row" AND f.ns = l.ns
        WHERE l.id IS NULL
    )
"""
_COUNTS: Final = """SELECT count(*) FILTER (id IS NULL), count(*) FILTER (id IS NULL AND old), count(*) FILTER (rows > 1)
    FROM open"""
_ROWS: Final = """SELECT id, "row", ns, micros, label, source FROM open WHERE rows = 1 ORDER BY ns LIMIT ?"""
