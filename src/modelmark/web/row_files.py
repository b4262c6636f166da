"""Rows as files: CSV, Parquet and JSON of what is seen."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelmark.seal.digests import plain

#: Rows of one file at most; a page says when there are more.
MOST: Final = 100_000


def named(table: Any, columns: Mapping[str, str]) -> Any:
    """The table with its inputs called as the contract does. columns: the tables' column of each input, by name."""
    names = {column: name for name, column in columns.items()}
    taken = set(table.column_names)
    return table.rename_columns([names[c] if c in names and names[c] not in taken else c for c in table.column_names])


def as_csv(table: Any) -> bytes:
    import pyarrow as pa
    from pyarrow import csv

    flat = table
    for place, column in enumerate(table.schema):
        if pa.types.is_list(column.type):  # lists have no form in CSV
            texts = [None if item is None else " ".join(map(str, item)) for item in table.column(place).to_pylist()]
            flat = flat.set_column(place, column.name, pa.array(texts, pa.string()))
    out = io.BytesIO()
    csv.write_csv(flat, out)
    return out.getvalue()


def as_parquet(table: Any) -> bytes:
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


def as_json(table: Any) -> bytes:
    return json.dumps(plain(table.to_pylist()), ensure_ascii=False).encode()


#: By the ending of the address: media type, and how it is written.
FORMS: Final[Mapping[str, tuple[str, Callable[[Any], bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", as_csv),
    "parquet": ("application/vnd.apache.parquet", as_parquet),
    "json": ("application/json", as_json),
}
