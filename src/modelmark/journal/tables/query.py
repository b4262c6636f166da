"""Reading the compacted journal: through DuckDB over Delta's own list of files. An absent table is simply empty.

What is still in the write-ahead log is not seen here until the next compaction, a few seconds later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected, said_by
from modelmark.journal.tables.receipts import table_names
from modelmark.journal.tables.schema import LABELS, REFUSALS, table_of

#: The columns of every predictions table, before its inputs.
ANSWER: Final = (
    "id", "row", "at", "model", "version", "arm", "path", "request_id", "entity", "flags",
    "score", "prediction", "value", "probabilities", "micros",
)  # fmt: skip
#: The latest label of each row, and since when it has been that: one that is sent again is nothing new. A row of which
#: different things were said at one time, and nothing later, has none.
LATEST_LABELS: Final = """
    SELECT id AS label_id, row AS label_row, any_value(latest) AS label, arg_max(value, ns) FILTER (same) AS label_value,
           arg_max(source, ns) FILTER (same) AS label_source, min("at") FILTER (ns > other) AS labelled_at
    FROM (
        SELECT *, label IS NOT DISTINCT FROM latest AS same,
               coalesce(max(ns) FILTER (label IS DISTINCT FROM latest) OVER (PARTITION BY id, row), -1) AS other
        FROM (
            SELECT *, first_value(label) OVER (PARTITION BY id, row ORDER BY ns DESC, label) AS latest FROM labels WHERE {which}
        )
    ) GROUP BY id, row HAVING max(other) < max(ns)
"""


def predictions(
    workspace: Workspace,
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: str | None = None,
    columns: Sequence[str] | None = None,
    limit: int | None = None,
    newest_first: bool = False,
) -> Any:
    """A pyarrow table of the rows predicted in [start, end), in order of time. version: digest hex. columns: None for
    all. An absent table gives a table without rows and columns."""
    picked = ", ".join(quoted(column) for column in columns) if columns else "*"
    query = f'SELECT {picked} FROM predictions WHERE "at" >= ? AND "at" < ? AND model = ?'
    values: list[Any] = [start, end, model]
    if version is not None:
        query += " AND version = ?"
        values.append(version.removeprefix("sha256:"))
    query += f' ORDER BY "at" {"DESC" if newest_first else "ASC"}, id, row' + (f" LIMIT {int(limit)}" if limit else "")
    with connected(workspace, predictions=table_of(model)) as connection:
        return _empty() if connection is None else connection.sql(query, params=values).to_arrow_table()


def labelled(
    workspace: Workspace,
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: str | None = None,
    by: Literal["prediction", "label"] = "label",
    inputs: bool = False,
    most: int | None = None,
    known_by: datetime | None = None,
) -> Any:
    """A pyarrow table of predictions with their labels: the columns of `ANSWER` (and inputs, when asked) and label
    (text), label_value, label_source, labelled_at, drawn_from. Of several labels of one row the latest counts, since it first
    said so.

    by: which time must lie in [start, end), that of the prediction or that of the (latest) label. most: where there are
    more rows, so many of them, drawn by a hash of id and row, which nothing about them decides; the same ones each time.
    drawn_from: how many there are. known_by: labels that were said later do not count.
    """
    picked = "p.*" if inputs else ", ".join(f'p."{column}"' for column in ANSWER)
    when = "labelled_at" if by == "label" else 'p."at"'
    query = f"WITH l AS ({LATEST_LABELS.format(which='model = ? AND ns <= ?')}) SELECT {picked}, l.* EXCLUDE (label_id, label_row)"
    query += ", count(*) OVER () AS drawn_from"
    query += f" FROM predictions p JOIN l ON p.id = l.label_id AND p.row = l.label_row WHERE {when} >= ? AND {when} < ?"
    query += " AND p.model = ?"
    values: list[Any] = [model, said_by(known_by), start, end, model]
    if version is not None:
        query += " AND p.version = ?"
        values.append(version.removeprefix("sha256:"))
    query += (
        " ORDER BY labelled_at DESC, p.id, p.row" if most is None else f" ORDER BY hash(p.id, p.row) LIMIT {int(most)}"
    )
    with connected(workspace, predictions=table_of(model), labels=LABELS) as connection:
        return _empty() if connection is None else connection.sql(query, params=values).to_arrow_table()


def find(workspace: Workspace, id: str, *, model: str | None = None) -> list[dict[str, Any]]:
    """The rows of one prediction as dictionaries, in order of rows, each with its label where one came (label, labelled_at),
    and with both where two came at one time (conflicting). Empty when no compacted prediction has that id."""
    names = [name for name in table_names(workspace) if name.startswith("predictions/")]
    if model is not None:
        names = [name for name in names if name == table_of(model)]
    for name in names:
        rows = _with_id(workspace, name, id).sort_by("row")
        if rows.num_rows:
            said = _said(workspace, id, rows["model"][0].as_py())
            return [{**row, **_truth(said.get(row["row"], []))} for row in rows.to_pylist()]
    return []


def known(workspace: Workspace, model: str, ids: Sequence[str]) -> Mapping[str, int]:
    """How many rows each of these predictions has; those that are unknown are left out."""
    import pyarrow as pa

    with connected(workspace, predictions=table_of(model)) as connection:
        if connection is None or not ids:
            return {}
        connection.register("asked", pa.table({"id": pa.array(sorted(set(ids)), pa.string())}))
        found = connection.execute(
            "SELECT p.id, count(*) FROM predictions p JOIN asked USING (id) WHERE p.model = ? GROUP BY p.id", [model]
        ).fetchall()
    return {str(id): int(rows) for id, rows in found}


def counts(workspace: Workspace) -> dict[str, int]:
    """Rows of every table, from Delta's log alone."""
    from deltalake import DeltaTable

    return {name: int(DeltaTable(str(workspace.tables / name)).count()) for name in table_names(workspace)}


def refusals(
    workspace: Workspace, model: str, start: datetime, end: datetime, *, version: str | None = None
) -> dict[tuple[str, str], int]:
    """How many requests were refused in [start, end), by (code, field), most first. version: digest hex; only those that it
    would have answered. Records of earlier releases say of no version that it would have."""
    query = """SELECT code, field, sum(count)::BIGINT AS n FROM refusals
               WHERE "at" >= ? AND "at" < ? AND model = ?{whose} GROUP BY code, field ORDER BY n DESC, code, field"""
    values: list[Any] = [start, end, model]
    with connected(workspace, refusals=REFUSALS) as connection:
        if connection is None or (version is not None and "version" not in connection.table("refusals").columns):
            return {}
        if version is not None:
            values.append(version.removeprefix("sha256:"))
        whose = "" if version is None else " AND version = ?"
        found = connection.execute(query.format(whose=whose), values).fetchall()
    return {(code, field): int(count) for code, field, count in found}


def refusal_records(
    workspace: Workspace,
    model: str,
    start: datetime,
    end: datetime,
    *,
    code: str | None = None,
    field: str | None = None,
    version: str | None = None,
    limit: int = 200,
) -> list[dict[str, Any]]:
    """What was refused in [start, end), as it was counted: at, code, field, count, version and arm (None in records of
    earlier releases), the newest first. version: digest hex; only what it would have answered. What a refused request held
    is not kept."""
    conditions, values = ['"at" >= ?', '"at" < ?', "model = ?"], [start, end, model]
    for column, value in (("code", code), ("field", field), ("version", version)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    with connected(workspace, refusals=REFUSALS) as connection:
        if connection is None:
            return []
        told = "version" in connection.table("refusals").columns
        if version is not None and not told:
            return []
        query = f"""SELECT "at", code, field, count, {"version, arm" if told else "NULL AS version, NULL AS arm"}
            FROM refusals WHERE {" AND ".join(conditions)} ORDER BY "at" DESC, code, field LIMIT {int(limit)}"""
        found: list[dict[str, Any]] = connection.sql(query, params=values).to_arrow_table().to_pylist()
    return found


def _said(workspace: Workspace, id: str, model: str) -> dict[int, list[dict[str, Any]]]:
    """The labels of each row of a prediction, oldest first."""
    said: dict[int, list[dict[str, Any]]] = {}
    if LABELS in table_names(workspace):
        for label in sorted(_with_id(workspace, LABELS, id).to_pylist(), key=lambda row: row["ns"]):
            if label["model"] == model:
                said.setdefault(label["row"], []).append(label)
    return said


def _truth(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """As `LATEST_LABELS` has it. said: the labels of one row, oldest first."""
    latest = {label["label"] for label in said if label["ns"] == said[-1]["ns"]}
    if len(latest) > 1:
        return {"label": None, "labelled_at": None, "conflicting": sorted(latest)}
    since = None
    for label in said:
        if since is None or label["label"] != since["label"]:  # else it is nothing new
            since = label
    return {"label": since and since["label"], "labelled_at": since and since["at"]}


def _with_id(workspace: Workspace, table: str, id: str) -> Any:
    """Straight from the files: their statistics rule out most of them, and a query engine's start would cost more. Through
    deltalake's own filesystem one process in ten aborted at its end, where threads of Arrow still held it."""
    import pyarrow as pa
    import pyarrow.dataset as ds
    from deltalake import DeltaTable

    folder = workspace.tables / table
    found = DeltaTable(str(folder))
    files = [str(folder / Path(uri).name) for uri in found.file_uris()]
    schema = pa.schema(found.schema().to_arrow())
    return ds.dataset(files, schema=schema, format="parquet").to_table(filter=ds.field("id") == id)


def _empty() -> Any:
    import pyarrow as pa

    return pa.table({})


def quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
