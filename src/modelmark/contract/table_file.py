"""A table's file before it is read: what it will take in memory, however small it is on disk."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelmark.domain.errors import Malformed, Rejected, TooLarge
from modelmark.domain.settings import table_bytes

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS: Final = 20_000
MAX_LINE: Final = 16_777_216
#: Bytes that reading a CSV takes for each of its cells, beside the text: pandas' offsets, and a number or a short text.
PER_CELL: Final = 48
_CHUNK: Final = 1_048_576
_THRIFT: Final = 200_000  # schema elements and column chunks that a Parquet footer may list


def require_fits(path: Path, most: int | None = None, *, separator: str = ",") -> None:
    """Raises TooLarge for what would take more than `most` bytes (None: MODELMARK_TABLE_MB), for lines above MAX_LINE and
    columns above MAX_COLUMNS; Malformed for what cannot be read, Rejected for nested columns. Stops at the first excess.
    """
    limit = table_bytes(os.environ) if most is None else most
    if path.name.lower().endswith((".parquet", ".pq")):
        _parquet(path, limit)
    else:
        _csv(path, limit, separator.encode())


def _csv(path: Path, limit: int, separator: bytes) -> None:
    taken = line = 0
    first = True
    for chunk in chunks(path):
        taken += len(chunk) + PER_CELL * (chunk.count(separator) + chunk.count(b"\n"))
        if taken > limit:
            raise _too_large(path, limit)
        begun, *ended = chunk.split(b"\n")
        if first:
            require_few_columns(path, begun.count(separator) + 1)
            first = not ended
        line = max(line + len(begun), *map(len, ended)) if ended else line + len(begun)
        if line > MAX_LINE:
            raise TooLarge(
                f"{path.name} has a line of more than {MAX_LINE:,} bytes", code="LINE_TOO_LONG", field=path.name,
                limit=f"{MAX_LINE:,} bytes",
            )  # fmt: skip
        line = len(ended[-1]) if ended else line


def opened(path: Path) -> Any:
    """The file's bytes, unpacked where its name ends in .gz."""
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


def chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes, a megabyte at a time. Raises Malformed for what cannot be unpacked."""
    try:
        with opened(path) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Malformed(f"{path.name} cannot be read: {error}", code="MALFORMED_TABLE", field=path.name) from None


def _parquet(path: Path, limit: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, thrift_container_size_limit=_THRIFT) as file:
            found, schema = file.metadata, file.schema_arrow
            require_few_columns(path, found.num_columns)
            for column in schema:
                if pa.types.is_nested(column.type):
                    raise Rejected(
                        f"{path.name} has lists or records in the column {column.name!r}", code="NESTED_COLUMN",
                        field=column.name, limit="one value a row",
                    )  # fmt: skip
            unpacked = sum(found.row_group(i).total_byte_size for i in range(found.num_row_groups))
            if max(found.num_rows * found.num_columns * 8, unpacked) > limit:
                raise _too_large(path, limit)
            texts = [column.name for column in schema if _is_text(column.type)]
        with pq.ParquetFile(path, read_dictionary=texts, thrift_container_size_limit=_THRIFT) as file:
            taken = found.num_rows * (found.num_columns - len(texts)) * 8
            for batch in file.iter_batches(columns=texts) if texts else ():
                taken += sum(_unpacked(column) for column in batch.columns)
                if taken > limit:
                    raise _too_large(path, limit)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Malformed(f"{path.name} cannot be read: {error}", code="MALFORMED_TABLE", field=path.name) from None


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return any(is_kind(kind) for is_kind in (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
    ))  # fmt: skip


def _unpacked(column: Any) -> int:
    """Bytes of a column of texts once each row has its own: one text of a megabyte may be meant by every row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes) + 8 * len(column)
    lengths = pc.binary_length(column.dictionary)
    return int(pc.sum(pc.take(lengths, column.indices)).as_py() or 0) + 8 * len(column)


def require_few_columns(path: Path, count: int) -> None:
    """Raises TooLarge above MAX_COLUMNS."""
    if count > MAX_COLUMNS:
        raise TooLarge(
            f"{path.name} has {count:,} columns", code="TOO_MANY_COLUMNS", field=path.name, limit=f"{MAX_COLUMNS:,} columns"
        )  # fmt: skip


def _too_large(path: Path, limit: int) -> TooLarge:
    return TooLarge(
        f"{path.name} would take more than {limit // 1_048_576:,} MB of memory", code="TABLE_TOO_LARGE", field=path.name,
        limit=f"{limit // 1_048_576:,} MB", hint="take fewer rows or columns, or raise MODELMARK_TABLE_MB",
    )  # fmt: skip
