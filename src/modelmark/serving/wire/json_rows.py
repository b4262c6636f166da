"""Rows as the JSON of other servers' clients: lists of objects, of lists, or columns; a cell may be in a list of its own.

Each shape has a typed decoder, so nothing is built of a body that has another. What it refuses is told exactly of small
texts; of large ones with the row where the decoder stopped, or off the loop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import astuple

from modelmark.contract import jsontext, row_errors
from modelmark.contract.columns import Numeric, Text
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import Malformed, Rejected
from modelmark.serving.wire import errors
from modelmark.serving.wire.json_fields import FAILED, base64_as_text, marks

_ROW: Final = re.compile(r"at `\$\[(\d+)\]")
_ALONE: Final = msgspec.Meta(min_length=1, max_length=1)
_NAME: Final = re.compile(rb'\s*\{\s*"((?:[^"\\])*)"\s*:')


class JsonRows:
    """Reads rows for one version."""

    def __init__(self, codec: RowCodec) -> None:
        self.codec = codec
        self._columns = {column.name: column for column in codec.columns}
        self._objects = msgspec.json.Decoder(codec.rows_type).decode

    def objects(self, text: bytes) -> Rows:
        """`[{"age": 41, …}, …]`, or with `[41]` for every 41. Raises Rejected."""
        text = self._plain(text)
        try:
            found = self._objects(text)
        except FAILED:
            try:
                found = self._nested(text)
            except FAILED:
                raise self._objects_fault(text) from None
            self._require_count(len(found))
            cells = zip(*(astuple(row) for row in found), strict=True)
            columns = {name: [v for (v,) in each] for name, each in zip(self.codec.names, cells, strict=True)}
            rows = self.codec.from_columns(len(found), columns)
        else:
            rows = self.codec.rows(found)
        # Every key and text costs two quotation marks; more of them may mean that a key came twice.
        self._refuse_duplicates(
            text, 2 * (rows.count * len(self.codec.names) + len(rows.texts) - rows.texts.count(None))
        )
        return rows

    def lists(self, text: bytes, names: Sequence[str]) -> Rows:
        """`[[41, …], …]`; names: what stands in each place. Raises Rejected."""
        row_errors.columns(names, self.codec.names)
        if len(set(names)) < len(names):
            raise Rejected("a column came twice", code="DUPLICATE_COLUMN", field="columns")
        text = self._plain(text)
        kinds = tuple(self._columns[name].kind for name in names)
        try:
            found = msgspec.json.decode(text, type=list[tuple[kinds]])  # type: ignore[valid-type]
        except FAILED as error:
            raise self._lists_fault(text, names, str(error)) from None
        self._require_count(len(found))
        columns = zip(*found, strict=True)
        return self.codec.from_columns(len(found), dict(zip(names, map(list, columns), strict=True)))

    def matrix(self, text: bytes) -> Rows:
        """`[[41, …], …]` in the contract's order, of a contract without texts. Raises Rejected."""
        if self.codec.textual:
            limit = ", ".join(self.codec.names)
            raise Rejected("rows need names", code="WRONG_TYPE", field="rows", limit=f"objects with {limit}"[:500])
        return self.lists(text, self.codec.names)

    def columns(self, text: bytes) -> Rows:
        """`{"age": [41, …], …}`, or with `[41]` for every 41; one matrix under another name, too. Raises Rejected."""
        try:
            found = {n: bytes(v) for n, v in zip(self.codec.names, astuple(self._named(text)), strict=True)}
        except FAILED:
            return self._under_another_name(text)
        if marks(text) != 2 * len(found) + sum(map(marks, found.values())):
            raise Rejected("a column came twice", code="DUPLICATE_COLUMN", field="inputs")
        columns = {name: self._values(self._columns[name], raw) for name, raw in found.items()}
        first = self.codec.names[0]
        for name, values in columns.items():
            if len(values) != len(columns[first]):
                limit = f"{len(columns[first])} values, as {first} has"
                raise Malformed(f"{name} has another length", code="BAD_SHAPE", field=name, limit=limit)
        return self.codec.from_columns(len(columns[first]), columns)

    def column(self, text: bytes) -> Rows:
        """`[41, …]` of the only column there is. Raises Rejected."""
        (column,) = self.codec.columns
        values = self._values(column, text)
        return self.codec.from_columns(len(values), {column.name: values})

    def values(self, text: bytes) -> Rows:
        """A bare list: of objects, lists, or the values of the only column, by what stands first in it. Raises Rejected."""
        opening = text[:200].translate(None, b" \t\r\n")
        if len(self.codec.columns) == 1 and not (opening.startswith(b"[{") and not opening.startswith(b'[{"b64"')):
            return self.column(text)
        return self.matrix(text) if opening.startswith(b"[[") else self.objects(text)

    def inputs(self, text: bytes) -> Rows:
        """An object of columns, or a bare list. Raises Rejected."""
        return self.columns(text) if text[:1] == b"{" else self.values(text)

    def instances_or_inputs(self, found: Mapping[str, bytes]) -> tuple[Rows, bool]:
        """(the rows, whether they came as `instances`). found: a body's fields. Raises Rejected."""
        if ("instances" in found) == ("inputs" in found):
            limit = "exactly one of instances, inputs"
            raise Malformed("send either instances or inputs", code="MISSING_FIELD", field="instances", limit=limit)
        if "instances" in found:
            return self.values(found["instances"]), True
        return self.inputs(found["inputs"]), False

    def _require_count(self, count: int) -> None:
        """Before anything is made of them. Raises Rejected."""
        if not 0 < count <= self.codec.max_rows:
            raise row_errors.row_count(count, self.codec.max_rows)

    def _plain(self, text: bytes) -> bytes:
        if "b64" in self._columns:
            return text
        return base64_as_text(text, self.codec.max_rows * len(self.codec.textual))

    @cached_property
    def _nested(self) -> Any:
        kinds = [(f"c{at}", Annotated[list[column.kind], _ALONE]) for at, column in enumerate(self.codec.columns)]  # type: ignore[name-defined]
        return msgspec.json.Decoder(list[self._struct("NestedRow", kinds)]).decode  # type: ignore[misc]

    @cached_property
    def _named(self) -> Any:
        kinds = [(f"c{at}", msgspec.Raw) for at, _ in enumerate(self.codec.columns)]
        return msgspec.json.Decoder(self._struct("Columns", kinds)).decode

    @cached_property
    def _flat(self) -> Mapping[str, Any]:
        return {c.name: msgspec.json.Decoder(list[c.kind]).decode for c in self.codec.columns}  # type: ignore[name-defined]

    @cached_property
    def _each(self) -> Mapping[str, Any]:
        return {
            c.name: msgspec.json.Decoder(list[Annotated[list[c.kind], _ALONE]]).decode  # type: ignore[name-defined]
            for c in self.codec.columns
        }

    def _struct(self, name: str, kinds: list[tuple[str, Any]]) -> type[msgspec.Struct]:
        rename = {f"c{at}": column.name for at, column in enumerate(self.codec.columns)}
        return msgspec.defstruct(name, kinds, rename=rename, forbid_unknown_fields=True, gc=False)

    def _values(self, column: Numeric | Text, text: bytes) -> list[Any]:
        """One column's cells. Raises Rejected."""
        text = self._plain(text)
        try:
            found: list[Any] = self._flat[column.name](text)
        except FAILED as flat:
            try:
                return [value for (value,) in self._each[column.name](text)]
            except FAILED as nested:
                raise _column_fault(column, text, f"{flat}\n{nested}") from None
        return found

    def _under_another_name(self, text: bytes) -> Rows:
        """Of columns that are not the contract's: one matrix under any name, when all are numbers. Raises Rejected."""
        named, end = _NAME.match(text), text.rstrip()
        if named is not None and end.endswith(b"}") and not self.codec.textual:
            name, inner = named[1].decode("utf-8", "replace"), end[named.end() : -1]
            if name not in self._columns and inner.strip().endswith(b"]") and not marks(inner):
                return self.matrix(inner)
        raise self._columns_fault(text)

    def _objects_fault(self, text: bytes) -> Rejected:
        if len(text) > jsontext.SMALL:
            return errors.Doubtful(partial(self.codec.first_fault, b'{"rows":%b}' % text, {}))
        try:
            return self.codec.diagnose(_unwrapped(jsontext.read(text)))
        except Malformed as error:
            return error

    def _refuse_duplicates(self, text: bytes, expected: int) -> None:
        """expected: quotation marks that begin or end strings when every key comes once."""
        if marks(text) == expected or marks(text.replace(b"\\\\", b"").replace(b'\\"', b"")) == expected:
            return
        if len(text) > jsontext.SMALL:
            raise errors.Doubtful(partial(self.codec.first_fault, b'{"rows":%b}' % text, {}))
        for index, row in enumerate(_unwrapped(jsontext.read(text))):
            found = row_errors.row(row, index, self.codec.numeric, self.codec.textual)
            if found is not None:
                raise found

    def _lists_fault(self, text: bytes, names: Sequence[str], said: str) -> Rejected:
        place = _ROW.search(said)
        row = int(place[1]) if place else None
        if len(text) <= jsontext.SMALL:
            for index, cells in enumerate(_listed(jsontext.read(text))):
                if not isinstance(cells, list) or len(cells) != len(names):
                    return _ragged(index, names)
                for name, value in zip(names, cells, strict=True):
                    fault = row_errors.cell(self._columns[name], value, index)
                    if fault is not None:
                        return fault
        elif "out of range" in said:
            return row_errors.not_finite(None, row)
        return _ragged(row, names)

    def _columns_fault(self, text: bytes) -> Rejected:
        if len(text) > jsontext.SMALL:
            limit = f"the {len(self.codec.names)} columns of the contract"
            return Rejected(
                "the columns are not those of the contract", code="UNKNOWN_COLUMN", field="inputs", limit=limit
            )
        try:
            found = jsontext.read(text)
            if isinstance(found, jsontext.Pairs):
                row_errors.columns(found, self.codec.names)
        except Rejected as error:
            return error
        return Rejected("columns must be an object", code="WRONG_TYPE", field="inputs", limit="an object of lists")


def _ragged(row: int | None, names: Sequence[str]) -> Rejected:
    return Rejected("a row has another form", code="BAD_SHAPE", field="rows", row=row, limit=f"a list of {len(names)}")


def _column_fault(column: Numeric | Text, text: bytes, said: str) -> Rejected:
    """What is wrong with a column's values that the typed decoders refused, saying so."""
    place = _ROW.search(said)
    row = int(place[1]) if place else None
    if len(text) <= jsontext.SMALL:
        values = jsontext.read(text)
        for index, value in enumerate(_listed(values)):
            cell = value[0] if isinstance(value, list) and len(value) == 1 else value
            fault = row_errors.cell(column, cell, index)
            if fault is not None:
                return fault
    elif "out of range" in said:
        return row_errors.not_finite(column.name, row)
    limit = f"a list, each {row_errors.EXPECTED[column.type]}"
    return Rejected(
        f"{column.name} has a value of another kind", code="WRONG_TYPE", field=column.name, row=row, limit=limit
    )


def _unwrapped(rows: Any) -> Any:
    """Rows with the cells that stand in lists of their own taken out."""
    for row in _listed(rows):
        if isinstance(row, dict):
            row.update({n: v[0] for n, v in row.items() if isinstance(v, list) and len(v) == 1})
    return rows


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


class Readers:
    """A reader for every version that is asked, kept while the same versions serve."""

    def __init__(self) -> None:
        self._kept: dict[int, JsonRows] = {}

    def forget(self) -> None:
        self._kept.clear()

    def of(self, codec: RowCodec) -> JsonRows:
        found = self._kept.get(id(codec))  # which holds its codec: no other has that address meanwhile
        if found is None:
            found = self._kept[id(codec)] = JsonRows(codec)
        return found
