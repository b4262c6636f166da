"""Journal records as columns: what the Delta tables hold, and how inputs are named in them.

`predictions/<model>`: one row per predicted row. id, row, at (UTC, microseconds: when it happened), received_at (when it was
answered, where that is another moment; null else, and absent in tables of earlier releases), model, version (digest hex), arm,
path, request_id, entity, flags ("KIND:input"), score (probability of the positive class; the largest one for several
classes), prediction (the class as text), value (regression), probabilities (several classes only), micros, then the
inputs. `labels`: id, row, at (when it became true), ns (nanoseconds, when it was said: which of two labels is later), model,
label (as text), value (when it is a number), source. `refusals`: at, model, code, field, count, version (digest hex), arm; the
last two are empty where an earlier release wrote.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.classes import class_text, positive_index
from modelmark.journal.wal.records import Labelled, Predicted, Refused, Schema
from modelmark.stats.decisions import decided

LABELS: Final = "labels"
REFUSALS: Final = "refusals"
NUMERIC: Final = "num_"
TEXT: Final = "cat_"
_ODD: Final = re.compile(r"[^a-z0-9_]+")
_MODEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def input_columns(numeric: Sequence[str], text: Sequence[str]) -> dict[str, str]:
    """The table's column of every input, by input name.

    `num_` or `cat_`, then the name in lower case with every run of other characters than a-z, 0-9 and _ as one _.
    Of inputs that would share a column, all but the first get _ and six digits of their name's SHA-256.

    >>> input_columns(["age", "Hours/Week"], ["job"])
    {'age': 'num_age', 'Hours/Week': 'num_hours_week', 'job': 'cat_job'}
    >>> input_columns(["a b", "a-b"], [])
    {'a b': 'num_a_b', 'a-b': 'num_a_b_d44362'}
    """
    named: dict[str, str] = {}
    taken: set[str] = set()
    for prefix, names in ((NUMERIC, numeric), (TEXT, text)):
        for name in names:
            column = prefix + _ODD.sub("_", name.lower())
            if column in taken:
                column += "_" + hashlib.sha256(name.encode()).hexdigest()[:6]
            taken.add(column)
            named[name] = column
    return named


def table_of(model: str) -> str:
    """The name of a model's predictions table. Names that are not models' names become a digest: they end up in
    paths."""
    safe = model if _MODEL.fullmatch(model) else hashlib.sha256(model.encode()).hexdigest()[:16]
    return f"predictions/{safe}"


def predictions_table(records: Iterable[Predicted], schemas: Mapping[str, Schema]) -> Any:
    """A pyarrow table of one model's predictions. Versions may differ in their inputs; the columns are united."""
    import pyarrow as pa

    groups: dict[tuple[str, int], list[Predicted]] = {}
    for record in records:
        width = len(record.scores) // (8 * record.rows) if record.rows else 0
        groups.setdefault((record.version, width), []).append(record)
    parts = [_one_version(group, schemas.get(version), width) for (version, width), group in groups.items()]
    return pa.concat_tables(parts, promote_options="default")


def _one_version(records: list[Predicted], schema: Schema | None, width: int) -> Any:
    import pyarrow as pa

    rows = np.fromiter((r.rows for r in records), dtype=np.int64, count=len(records))
    total = int(rows.sum())
    which = np.repeat(np.arange(len(records)), rows)
    first = np.cumsum(rows) - rows

    def spread(values: list[Any], kind: Any) -> Any:
        column = pa.array(values, kind)
        return column if total == len(records) else column.take(pa.array(which))

    columns: dict[str, Any] = {
        "id": spread([r.id for r in records], pa.string()),
        "row": pa.array((np.arange(total) - first[which]).astype(np.int32)),
        **_times(records, rows, spread),
        "model": spread([r.model for r in records], pa.string()),
        "version": spread([r.version.removeprefix("sha256:") for r in records], pa.string()),
        "arm": spread([r.arm for r in records], pa.string()),
        "path": spread([r.path for r in records], pa.string()),
        "request_id": spread([r.request_id for r in records], pa.string()),
        "entity": spread([r.entity for r in records], pa.string()),
        "flags": pa.array(_flags(records, total, schema is None), pa.list_(pa.string())),
        **_answers(records, schema, total, width),
        "micros": spread([r.micros for r in records], pa.int64()),
    }
    if schema is not None:
        columns |= _inputs(records, schema, total)
    return pa.table(columns)


def _times(
    records: list[Predicted], rows: NDArray[np.int64], spread: Callable[[list[Any], Any], Any]
) -> dict[str, Any]:
    """When each row happened, and when it was received where that is another moment."""
    import pyarrow as pa
    import pyarrow.compute as pc

    moments = pa.timestamp("us", tz="UTC")
    received = spread([r.at // 1000 for r in records], pa.int64()).cast(moments)
    if not any(r.event for r in records):
        return {"at": received, "received_at": pa.nulls(len(received), moments)}
    happened = np.concatenate([_events(record, n) for record, n in zip(records, rows.tolist(), strict=True)])
    said = np.repeat([bool(r.event and r.at) for r in records], rows)
    return {
        "at": pa.array(happened).cast(moments),
        "received_at": pc.if_else(pa.array(said), received, pa.scalar(None, moments)),
    }


def _events(record: Predicted, rows: int) -> NDArray[np.int64]:
    """Microseconds, one a row."""
    said = np.frombuffer(record.event, "<i8") if record.event else np.array([record.at])
    return np.broadcast_to(said // 1000, rows)


def _flags(records: list[Predicted], total: int, unread: bool) -> list[list[str]]:
    """A prediction whose schema is nowhere in its segment keeps its answer but not its inputs, and says so."""
    flags: list[list[str]] = [["SCHEMA_MISSING:"] if unread else [] for _ in range(total)]
    start = 0
    for record in records:
        for row, name, kind in record.flags:
            if 0 <= row < record.rows:
                flags[start + row].append(f"{kind}:{name}")
        start += record.rows
    return flags


def _answers(records: list[Predicted], schema: Schema | None, total: int, width: int) -> dict[str, Any]:
    import pyarrow as pa

    score, value = pa.nulls(total, pa.float64()), pa.nulls(total, pa.float64())
    prediction, each = pa.nulls(total, pa.string()), pa.nulls(total, pa.list_(pa.float64()))
    scores = np.frombuffer(b"".join(r.scores for r in records), "<f8").reshape(total, width) if width else None
    if scores is not None and schema is not None and schema.task == "regression":
        value = pa.array(scores[:, 0], from_pandas=True)
    elif scores is not None and schema is not None and width == len(schema.classes):
        names = np.array([class_text(c) for c in schema.classes], dtype=object)
        broken = np.isnan(scores).any(axis=1)
        positive = positive_index(schema.classes, schema.positive) if schema.task == "binary" else None
        chosen = names[decided(scores, positive=positive, threshold=schema.threshold)]
        if positive is not None:
            score = pa.array(scores[:, positive], from_pandas=True)
        else:
            score = pa.array(scores.max(axis=1), from_pandas=True)
            offsets = np.arange(0, total * width + 1, width, dtype=np.int32)
            each = pa.ListArray.from_arrays(pa.array(offsets), pa.array(scores.ravel()))
        prediction = pa.array(chosen, pa.string(), mask=broken)
    return {"score": score, "prediction": prediction, "value": value, "probabilities": each}


def answers(records: list[Any], schema: Schema | None, width: int) -> dict[str, Any]:
    """The columns score, prediction, value and probabilities of records that hold `scores`, `width` a row."""
    return _answers(records, schema, sum(record.rows for record in records), width)


def _inputs(records: list[Predicted], schema: Schema, total: int) -> dict[str, Any]:
    import pyarrow as pa

    named = input_columns(schema.numeric, schema.text)
    columns: dict[str, Any] = {}
    if schema.numeric:
        flat = np.frombuffer(b"".join(r.numbers for r in records), "<f8").reshape(total, len(schema.numeric))
        for j, name in enumerate(schema.numeric):
            columns[named[name]] = pa.array(np.ascontiguousarray(flat[:, j]), from_pandas=True)
    if schema.text:
        texts = list(chain.from_iterable(r.texts for r in records))
        for j, name in enumerate(schema.text):
            columns[named[name]] = pa.array(texts[j :: len(schema.text)], pa.string())
    return columns


def labels_table(records: Sequence[Labelled]) -> Any:
    import pyarrow as pa

    numbers = [float(r.label) if isinstance(r.label, (int, float)) else None for r in records]
    return pa.table(
        {
            "id": pa.array([r.prediction for r in records], pa.string()),
            "row": pa.array([r.row for r in records], pa.int32()),
            "at": pa.array([(r.event or r.at) // 1000 for r in records], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "ns": pa.array([r.at for r in records], pa.int64()),
            "model": pa.array([r.model for r in records], pa.string()),
            "label": pa.array([class_text(r.label) for r in records], pa.string()),
            "value": pa.array(numbers, pa.float64()),
            "source": pa.array([r.source for r in records], pa.string()),
        }
    )


def refusals_table(records: Sequence[Refused]) -> Any:
    import pyarrow as pa

    return pa.table(
        {
            "at": pa.array([r.at // 1000 for r in records], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "model": pa.array([r.model for r in records], pa.string()),
            "code": pa.array([r.code for r in records], pa.string()),
            "field": pa.array([r.field for r in records], pa.string()),
            "count": pa.array([r.count for r in records], pa.int64()),
            "version": pa.array([r.version.removeprefix("sha256:") for r in records], pa.string()),
            "arm": pa.array([r.arm for r in records], pa.string()),
        }
    )
