"""A table of any size, read a part at a time: CSV, Parquet, or a folder that Delta Lake wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelmark.contract.csv_file import require_distinct, texts_in_batches
from modelmark.contract.table import is_csv
from modelmark.contract.table_file import chunks, require_few_columns
from modelmark.domain.contract import Csv
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.workspace import require_delta

if TYPE_CHECKING:
    import pyarrow as pa

#: Cells of one part, and rows at most: what is in memory at a time, three parts over.
CELLS: Final = 1_000_000
ROWS: Final = 20_000
#: Bytes of a file's column that are read at a time.
BUFFER: Final = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A table that is there. digest: of what it holds, so that what goes on after a cut goes on with the same rows.
    rows: as the file says, or the lines of a CSV, which may be a few more. texts: every column is text, to be typed."""

    path: Path
    columns: tuple[str, ...]
    rows: int
    digest: str
    texts: bool
    batches: Callable[[int, list[str]], Iterator[pa.RecordBatch]]

    @property
    def part_rows(self) -> int:
        return max(1, min(ROWS, CELLS // max(len(self.columns), 1)))

    def parts(self, rows: int, *, after: int = 0, wanted: Collection[str] | None = None) -> Iterator[pa.Table]:
        """Tables of exactly so many rows, the last one of fewer; those of the first `after` parts are passed over. wanted:
        columns without which nothing is missed, if they are not all; others need not be read.

        Raises Malformed for what cannot be read, and Rejected as `csv_file` does.
        """
        import pyarrow as pa

        columns = [name for name in self.columns if wanted is None or name in wanted]
        held: list[pa.RecordBatch] = []
        count = number = 0
        for batch in _readable(self.path, self.batches(rows, columns)):
            while len(batch):
                taken = batch.slice(0, rows - count)
                batch = batch.slice(len(taken))
                held.append(taken)
                count += len(taken)
                if count == rows:
                    if number >= after:
                        yield pa.Table.from_batches(held)
                    held, count, number = [], 0, number + 1
        if held and number >= after:
            yield pa.Table.from_batches(held)


def source(path: Path, how: Csv) -> Source:
    """What a path holds. how: as CSV files are written here.

    Raises Missing where there is nothing, Rejected for an unknown format, a column twice or nested, TooLarge for more
    columns than a table may have, and Malformed for what cannot be read.
    """
    if (path / "_delta_log").is_dir():
        found = _delta(path)
    elif not path.is_file():
        raise Missing(f"there is no table {path}", code="NO_TABLE", field="TABLE")
    elif path.name.lower().endswith((".parquet", ".pq")):
        found = _parquet(path)
    elif is_csv(path):
        found = _csv(path, how)
    else:
        raise Rejected(
            f"{path.name} is not a table we read", code="UNKNOWN_FORMAT", field="TABLE",
            limit=".csv, .tsv, .txt (also .gz), .parquet, or a folder of Delta Lake",
        )  # fmt: skip
    require_few_columns(path, len(found.columns))
    if not found.rows:
        raise Rejected(f"{path.name} has no rows", code="EMPTY_TABLE", field="TABLE", limit="at least one row")
    return found


def _csv(path: Path, how: Csv) -> Source:
    """Read twice: once for its digest and its lines, which say how far a reader is."""
    sha, lines, last = hashlib.sha256(), 0, b"\n"
    try:
        for chunk in chunks(path):
            sha.update(chunk)
            lines += chunk.count(b"\n")
            last = chunk[-1:]
        columns, batches = texts_in_batches(path, how)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    rows = lines + (last != b"\n") - 1
    return Source(
        path=path, columns=columns, rows=rows, digest=sha.hexdigest(), texts=True, batches=lambda *_: batches()
    )


def _parquet(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with pq.ParquetFile(path) as opened:
            schema, rows = opened.schema_arrow, opened.metadata.num_rows
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    _require_plain(path, schema)

    def batches(size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False) as opened:  # else a row group is read whole
            yield from opened.iter_batches(batch_size=size, columns=columns)

    return Source(path=path, columns=tuple(schema.names), rows=rows, digest=digest, texts=False, batches=batches)


def _delta(path: Path) -> Source:
    """One version of it, whatever is written meanwhile: the one that is newest now."""
    import pyarrow.dataset as ds
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    require_delta(path.resolve(), "TABLE")
    try:
        table = DeltaTable(str(path))
        dataset = table.to_pyarrow_dataset()  # raises for what Arrow cannot read rightly
        places = [path / Path(uri).name for uri in table.file_uris()]
        if not table.metadata().partition_columns and all(place.is_file() for place in places):
            # Arrow's own filesystem: threads that hold deltalake's may abort the process at its end
            dataset = ds.dataset([*map(str, places)], schema=dataset.schema, format="parquet")
        files = sorted(table.file_uris())
        rows = dataset.count_rows()
    except (DeltaError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    _require_plain(path, dataset.schema)
    named = [Path(uri).name for uri in files]
    digest = hashlib.sha256(json.dumps([table.version(), named]).encode()).hexdigest()

    def batches(size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        few = ds.ParquetFragmentScanOptions(use_buffered_stream=True, buffer_size=BUFFER, pre_buffer=False)
        yield from dataset.to_batches(
            batch_size=size, batch_readahead=1, fragment_readahead=1, fragment_scan_options=few
        )

    return Source(
        path=path, columns=tuple(dataset.schema.names), rows=rows, digest=digest, texts=False, batches=batches
    )


def _require_plain(path: Path, schema: pa.Schema) -> None:
    import pyarrow as pa

    require_distinct(path, schema.names, f"{path.name}: ")
    for field in schema:
        if pa.types.is_nested(field.type):
            raise Rejected(
                f"{path.name} has lists or records in the column {field.name!r}", code="NESTED_COLUMN", field=field.name,
                limit="one value a row",
            )  # fmt: skip


def _readable(path: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; what the library raises on the way, as the error that people get."""
    import pyarrow as pa

    try:
        yield from batches
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> Malformed:
    return Malformed(f"{path.name} cannot be read: {error}", code="MALFORMED_TABLE", field="TABLE")
