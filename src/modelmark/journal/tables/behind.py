"""The rows that an alert is about, the newest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from modelmark.domain.workspace import Workspace
from modelmark.journal.tables.connection import connected
from modelmark.journal.tables.query import labelled
from modelmark.journal.tables.schema import table_of

SHOWN: Final = ("id", "row", "at", "path", "score", "prediction", "value", "flags", "micros")
_FLAGS: Final = ("MISSING", "OUT_OF_RANGE", "UNSEEN", "IMPUTED", "IMPLAUSIBLE")


def predicted_rows(
    workspace: Workspace,
    model: str,
    version: str,
    start: datetime,
    end: datetime,
    *,
    inputs: Mapping[str, str],
    faulty_first: bool = False,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Rows that a version (digest hex) answered in [start, end). inputs: by name, their columns in the table; they come
    back by name, under `inputs`. faulty_first: those in which one of them is missing or flagged."""
    with connected(workspace, threads=1, found=table_of(model)) as connection:
        known = set() if connection is None else set(connection.table("found").columns)
        picked = {name: column for name, column in inputs.items() if column in known}
        if connection is None:
            return []
        shown = ", ".join(f'"{column}"' for column in (*SHOWN, *picked.values()))
        missing = " OR ".join([f'"{column}" IS NULL' for column in picked.values()] or ["FALSE"])
        flags = [f"{flag}:{name}" for name in picked for flag in _FLAGS]
        first = f"({missing} OR list_has_any(coalesce(flags, []), ?)) DESC, " if faulty_first else ""
        query = f"""SELECT {shown} FROM found WHERE "at" >= ? AND "at" < ? AND version = ?
            ORDER BY {first}"at" DESC, id DESC, "row" LIMIT {int(limit)}"""
        values: list[Any] = [start, end, version, *([flags or [""]] if faulty_first else [])]
        rows = connection.sql(query, params=values).to_arrow_table().to_pylist()
    return [
        {**{name: row[name] for name in SHOWN}, "inputs": {name: row[column] for name, column in picked.items()}}
        for row in rows
    ]


def wrong_rows(
    workspace: Workspace,
    model: str,
    version: str,
    start: datetime,
    end: datetime,
    *,
    limit: int = 50,
    among: int = 5_000,
) -> list[dict[str, Any]]:
    """Rows predicted in [start, end) whose label says otherwise, the newest first; of numbers, the furthest from theirs first.
    among: at most so many labelled rows are looked through, drawn at random."""
    table = labelled(workspace, model, start, end, version=version, by="prediction", most=among)
    found = [row for row in table.to_pylist() if _error(row)]
    ranked = sorted(found, key=lambda row: (_error(row), row["at"]), reverse=True)
    return [{**{name: row[name] for name in SHOWN}, "label": row["label"], "inputs": {}} for row in ranked[:limit]]


def _error(row: Mapping[str, Any]) -> float:
    """1 for another class, the distance of a number, 0 where they agree or nobody can say."""
    if row["prediction"] is not None:
        return float(row["prediction"] != row["label"])
    if row["value"] is None or row["label_value"] is None:
        return 0.0
    return abs(float(row["value"]) - float(row["label_value"]))


def named(inputs: Sequence[str], columns: Mapping[str, str], most: int = 6) -> dict[str, str]:
    """Of these inputs the first few that there are, with their columns."""
    return {name: columns[name] for name in [name for name in inputs if name in columns][:most]}
