"""Rows as a Parquet file, within limits that hold before and while it is unpacked. pyarrow is loaded on first use.

Taken is what pandas and Arrow write of plain columns: no nesting, uncompressed or Snappy, which cannot blow up.
"""

from __future__ import annotations

from math import isfinite, isnan
from typing import Any, Final

from modelmark.contract import row_errors
from modelmark.contract.columns import Numeric, Text
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.contract import DataType
from modelmark.domain.errors import Malformed, Rejected, TooLarge
from modelmark.serving.wire.compression import RATIO, SMALL
from modelmark.serving.wire.errors import Unsupported

_CODECS: Final = frozenset({"UNCOMPRESSED", "SNAPPY"})
_INDEX: Final = "__index_level_"


def rows(body: bytes, codec: RowCodec) -> Rows:
    """Raises Malformed for what is no such file, Rejected for what the contract does not describe, TooLarge, Unsupported."""
    arrow, parquet = _libraries()
    if body[:4] != b"PAR1" or body[-4:] != b"PAR1":
        raise _damaged()
    try:
        about = parquet.read_metadata(arrow.BufferReader(body))
        names = _columns_of(about, codec)
        _require_bounds(about, codec, len(body))
        texts = [column.name for column in codec.textual]
        file = parquet.ParquetFile(arrow.BufferReader(body), metadata=about, read_dictionary=texts)
        table = file.read(columns=names, use_threads=False)
        columns = {column.name: _values(column, table.column(column.name)) for column in codec.columns}
    except (arrow.ArrowException, OSError, ValueError, TypeError, KeyError, MemoryError):
        raise _damaged() from None
    _require_texts(codec, columns, len(body))
    return codec.from_columns(table.num_rows, columns)


def _libraries() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        limit, hint = "application/json, text/csv", "install modelmark[data]"
        raise Unsupported("Parquet is not read here", limit=limit, hint=hint) from None
    return pa, pq


def _columns_of(about: Any, codec: RowCodec) -> list[str]:
    """The file's columns without pandas' index; of nested ones the path is no column of the contract. Raises Rejected."""
    paths = [about.schema.column(at).path for at in range(about.num_columns)]
    names = [path for path in paths if not path.startswith(_INDEX)]
    row_errors.columns(names, codec.names)
    if len(names) != len(codec.names):
        raise Malformed("a column came twice", code="DUPLICATE_COLUMN")
    return names


def _require_bounds(about: Any, codec: RowCodec, size: int) -> None:
    """By what the file says of itself. Raises Rejected."""
    if not 0 < about.num_rows <= codec.max_rows:
        raise row_errors.row_count(about.num_rows, codec.max_rows)
    groups = [about.row_group(at) for at in range(min(about.num_row_groups, codec.max_rows))]
    chunks = [group.column(at) for group in groups for at in range(group.num_columns)]
    if any(chunk.compression not in _CODECS for chunk in chunks):
        raise Unsupported("the compression is not taken", code="UNSUPPORTED_ENCODING", limit=", ".join(sorted(_CODECS)))
    most = max(RATIO * size, SMALL)
    if about.num_row_groups > codec.max_rows or sum(chunk.total_uncompressed_size for chunk in chunks) > most:
        raise TooLarge("the body unpacks to too much", code="BODY_TOO_LARGE", limit=f"{RATIO} times what was sent")


def _values(column: Numeric | Text, found: Any) -> list[Any]:
    """Python values of one column. Raises Rejected; a text that comes often is kept once."""
    if isinstance(column, Text):
        return [value for chunk in found.chunks for value in _texts(chunk)]
    values = found.to_pylist()
    if column.type is DataType.BOOLEAN:
        return list(values)
    for row, value in enumerate(values):
        if isinstance(value, float) and not isfinite(value):
            if not isnan(value):
                raise row_errors.not_finite(column.name, row)
            values[row] = None
    return list(values)


def _texts(chunk: Any) -> list[Any]:
    if not hasattr(chunk, "dictionary"):
        return list(chunk.to_pylist())
    words = chunk.dictionary.to_pylist()
    return [None if at is None else words[at] for at in chunk.indices.to_pylist()]


def _require_texts(codec: RowCodec, columns: dict[str, list[Any]], size: int) -> None:
    """A long text may stand in every row, and be in the file once. Raises TooLarge."""
    total = sum(len(text) for column in codec.textual for text in columns[column.name] if isinstance(text, str))
    if total > max(RATIO * size, SMALL):
        raise TooLarge("the texts are too long together", code="BODY_TOO_LARGE", limit=f"{RATIO} times what was sent")


def _damaged() -> Rejected:
    return Malformed("the body is no Parquet file that can be read", code="BAD_PARQUET", limit="one whole Parquet file")
