"""A CSV file as columns of text: its names and fields are counted before anything is typed, so that nothing can shift."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.table_file import MAX_LINE, chunks, opened
from modelmark.domain.contract import Csv
from modelmark.domain.errors import Rejected

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as arrow

#: What pandas calls a column without a name, before its place.
NAMELESS: Final = "Unnamed: "
#: A row has to fit into one block. Arrow holds up to 32 blocks that it has read ahead, so they begin small.
_BLOCK: Final = 2 * MAX_LINE
_SMALL: Final = 131_072
_END: Final = "\x00modelmark: end"


def read_texts(path: Path, how: Csv) -> pa.Table:
    """Every column as text (UTF-8), null for an empty cell; lines without a field are no rows.

    Raises Rejected (DUPLICATE_COLUMN, FIELD_COUNT) for a header with a name twice and for a row of another length than the
    header; ValueError, OSError or EOFError for what cannot be read.
    """
    import pyarrow.csv as arrow

    names, given = _as_texts(path, how)
    with _told(path, names, how, given):
        found = arrow.read_csv(given.stream(), **given.options)
    if found.num_columns != len(names) or found.column(0)[-1].as_py() != _END:
        raise _never_closed(path, how)
    return found.slice(1, len(found) - 2).rename_columns(list(names))


def texts_in_batches(path: Path, how: Csv) -> tuple[tuple[str, ...], Callable[[], Iterator[pa.RecordBatch]]]:
    """The names of the columns, and what reads them: `read_texts` a few megabytes at a time, each time from the beginning.

    Raises as `read_texts` does, for what stands further down while it is read.
    """
    import pyarrow as pa

    names, _ = _as_texts(path, how)

    def batches() -> Iterator[pa.RecordBatch]:
        block, given = _SMALL, 0
        while True:
            again = given
            try:
                for batch in _in_blocks(path, how, names, block):
                    left = batch.slice(again)
                    again = max(0, again - len(batch))
                    given += len(left)
                    yield left
            except pa.ArrowInvalid as error:
                if block == _BLOCK or "block" not in str(error):
                    raise
                block = min(4 * block, _BLOCK)  # a row was longer: from the beginning, past what was given
            else:
                return

    return names, batches


def _in_blocks(path: Path, how: Csv, names: Sequence[str], block: int) -> Iterator[pa.RecordBatch]:
    """Raises ArrowInvalid, which speaks of blocks, where a row does not fit into one of so many bytes."""
    import pyarrow.csv as arrow

    given = _Given(path, how, len(names), block)
    first, held = 1, None  # the header is the first row; the last one is ours
    with _told(path, names, how, given), arrow.open_csv(given.stream(), **given.options) as reader:
        if len(reader.schema) != len(names):
            raise _never_closed(path, how)
        for batch in reader:
            if held is not None:
                yield held
            held = batch.slice(first).rename_columns(list(names))
            first = max(0, first - len(batch))
    if held is None or not len(held) or held.column(0)[-1].as_py() != _END:
        raise _never_closed(path, how)
    yield held.slice(0, len(held) - 1)


class _Given:
    """How pyarrow is to read a file; other: it met a row of another length than the header."""

    def __init__(self, path: Path, how: Csv, width: int, block: int = _BLOCK) -> None:
        import pyarrow as pa
        import pyarrow.csv as arrow

        self.other, self._block = False, block
        self._pieces = partial(_as_utf8, path, how, width)
        self.options = {
            "read_options": arrow.ReadOptions(autogenerate_column_names=True, block_size=block),
            "parse_options": arrow.ParseOptions(
                delimiter=how.separator, newlines_in_values=True, invalid_row_handler=self._judge
            ),
            "convert_options": arrow.ConvertOptions(
                column_types={f"f{i}": pa.string() for i in range(width)}, null_values=[""], strings_can_be_null=True
            ),
        }

    def stream(self) -> io.BufferedReader:
        return io.BufferedReader(_Stream(self._pieces()), self._block)

    def _judge(self, row: arrow.InvalidRow) -> str:
        if not row.text.strip():
            return "skip"
        self.other = True
        return "error"


def _as_texts(path: Path, how: Csv) -> tuple[tuple[str, ...], _Given]:
    line, names = _header(path, how)
    require_distinct(path, names, f"{path.name}, line {line}: ")
    return names, _Given(path, how, len(names))


@contextmanager
def _told(path: Path, names: Sequence[str], how: Csv, given: _Given) -> Iterator[None]:
    """A row of another length, by its line."""
    import pyarrow as pa

    try:
        yield
    except pa.ArrowInvalid:
        if given.other:
            raise _other_length(path, names, how) from None
        raise


def _never_closed(path: Path, how: Csv) -> ValueError:
    *_, last = records(path, how.separator, how.encoding)
    return ValueError(f"a quotation mark in the row that begins at line {last[0]} is never closed")


class _Stream(io.RawIOBase):
    """Pieces of bytes, read as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._left = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        taken, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)


def _as_utf8(path: Path, how: Csv, width: int) -> Iterator[bytes]:
    """The file's bytes, and a row of our own after them: where that cannot be read, a text before it was not closed."""
    if _is_utf8(how.encoding):
        yield from chunks(path)
    else:
        for text in codecs.iterdecode(chunks(path), how.encoding):
            yield text.encode()
    yield f"\n{how.separator.join([_END] * width)}\n".encode()


def require_distinct(path: Path, names: Sequence[str], where: str) -> None:
    """Raises Rejected for a name that stands twice: the wrong one of the two might be read."""
    seen: dict[str, int] = {}
    for at, name in enumerate(names, 1):
        if name in seen:
            raise Rejected(
                f"{where}the column {name!r} stands twice, as columns {seen[name]} and {at}", code="DUPLICATE_COLUMN",
                field=name, limit="each name once", hint=f"rename or remove one of them in {path.name}",
            )  # fmt: skip
        seen[name] = at


def records(path: Path, separator: str, encoding: str) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, row, fields) of each record, as plain Python reads it; the header is row -1, lines without a field are none.

    Raises csv.Error, ValueError, OSError, EOFError or zlib.error for what cannot be read.
    """
    usual = csv.field_size_limit(MAX_LINE)  # of the whole process
    try:
        with opened(path) as file:
            text = io.TextIOWrapper(file, "utf-8-sig" if _is_utf8(encoding) else encoding, newline="")
            reader = csv.reader(text, delimiter=separator)
            line, row = 1, -1
            for fields in reader:
                if len(fields) > 1 or any(field.strip() for field in fields):
                    yield line, row, fields
                    row += 1
                line = reader.line_num + 1
    finally:
        csv.field_size_limit(usual)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name == "utf-8"


def _header(path: Path, how: Csv) -> tuple[int, tuple[str, ...]]:
    """(line, names); a column without a name gets pandas' name for it, as the model may have been trained with that."""
    for line, _, fields in records(path, how.separator, how.encoding):
        return line, tuple(name or f"{NAMELESS}{at}" for at, name in enumerate(fields))
    raise ValueError("it is empty")


def _other_length(path: Path, names: Sequence[str], how: Csv) -> Rejected:
    """The refusal of the first row that has not as many fields as the header."""
    expected = len(names)
    line, row, count = next(
        (
            (line, row, len(fields))
            for line, row, fields in records(path, how.separator, how.encoding)
            if len(fields) != expected
        ),
        (0, 0, 0),
    )
    place = f"{path.name}, line {line}" if line else f"{path.name}: a row"
    more = count > expected or not line
    hint = (
        "name every column: a separator at the end of each line, or row names without a header, move all columns by one; "
        "quote a text that holds a separator"
        if more
        else "write a separator for each missing value; a text of several lines needs quotes"
    )
    return Rejected(
        f"{place} has {count or 'other'} fields, the header names {expected}",
        code="FIELD_COUNT", field=names[-1] if more else names[count], row=row,
        limit=f"{expected} fields in each row", hint=hint,
    )  # fmt: skip
