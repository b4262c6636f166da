"""What shadows said, as rows of the table `shadows`: one a row of the request that they were asked a copy of.

id, row: of the live prediction, at (when the shadow was done), model, version (digest hex), arm, error (empty where it
answered), score, prediction, value, probabilities, micros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from modelmark.journal.tables.schema import answers
from modelmark.journal.wal.records import Schema, Shadowed

SHADOWS: Final = "shadows"


def shadows_table(records: Sequence[Shadowed], schemas: Mapping[str, Schema]) -> Any:
    """A pyarrow table. A version whose schema is nowhere keeps its rows without answers, and their error says so."""
    import pyarrow as pa

    groups: dict[tuple[str, int], list[Shadowed]] = {}
    for record in records:
        width = len(record.scores) // (8 * record.rows) if record.rows else 0
        groups.setdefault((record.version, width), []).append(record)
    parts = [_one_version(group, schemas.get(version), width) for (version, width), group in groups.items()]
    return pa.concat_tables(parts, promote_options="default")


def _one_version(records: list[Shadowed], schema: Schema | None, width: int) -> Any:
    import pyarrow as pa

    rows = np.fromiter((record.rows for record in records), dtype=np.int64, count=len(records))
    which = pa.array(np.repeat(np.arange(len(records)), rows))
    first = np.cumsum(rows) - rows

    def spread(values: list[Any], kind: Any) -> Any:
        return pa.array(values, kind).take(which)

    return pa.table(
        {
            "id": spread([r.id for r in records], pa.string()),
            "row": pa.array((np.arange(int(rows.sum())) - np.repeat(first, rows)).astype(np.int32)),
            "at": spread([r.at // 1000 for r in records], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "model": spread([r.model for r in records], pa.string()),
            "version": spread([r.version.removeprefix("sha256:") for r in records], pa.string()),
            "arm": spread([r.arm for r in records], pa.string()),
            "error": spread([r.error or ("SCHEMA_MISSING" if schema is None else "") for r in records], pa.string()),
            **answers(records, schema, width),
            "micros": spread([r.micros for r in records], pa.int64()),
        }
    )
