"""TensorFlow's tensors and examples to rows, answers to tensors. The rules of the tensors are those of `wire.oip_tensors`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from typing import Any, Final

import numpy as np

from modelmark.contract import jsontext, row_errors
from modelmark.contract.columns import Numeric, Text
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.contract import DataType
from modelmark.domain.errors import Malformed, Rejected
from modelmark.serving.grpc.generated import tensorflow_serving_pb2 as pb
from modelmark.serving.wire import oip_tensors
from modelmark.serving.wire.tfs_model import TYPE

#: Of each type: the protocol's name of it over v2, the field that holds its values, and how they lie in `tensor_content`.
_KINDS: Final[Mapping[int, tuple[str, str, str]]] = {
    pb.DT_FLOAT: ("FP32", "float_val", "<f4"),
    pb.DT_DOUBLE: ("FP64", "double_val", "<f8"),
    pb.DT_INT64: ("INT64", "int64_val", "<i8"),
    pb.DT_INT32: ("INT32", "int_val", "<i4"),
    pb.DT_INT16: ("INT16", "int_val", "<i2"),
    pb.DT_INT8: ("INT8", "int_val", "i1"),
    pb.DT_UINT8: ("UINT8", "int_val", "u1"),
    pb.DT_UINT16: ("UINT16", "int_val", "<u2"),
    pb.DT_UINT32: ("UINT32", "uint32_val", "<u4"),
    pb.DT_UINT64: ("UINT64", "uint64_val", "<u8"),
    pb.DT_BOOL: ("BOOL", "bool_val", "?"),
    pb.DT_STRING: ("BYTES", "string_val", ""),
}


class InputTensor:
    """Implements `oip_tensors.Tensor`."""

    def __init__(self, name: str, tensor: Any) -> None:
        self.name, self._tensor = name, tensor
        self.shape: list[int] = [dim.size for dim in tensor.tensor_shape.dim]
        known = _KINDS.get(tensor.dtype)
        if known is None:
            limit = ", ".join(pb.DataType.Name(kind) for kind in _KINDS)
            raise Malformed("the datatype is not known", code="BAD_DATATYPE", field=jsontext.shown(name), limit=limit)
        self.datatype, self._field, self._layout = known

    def values(self, count: int, width: int) -> list[Any]:
        """The last value stands for those that are not sent, as TensorFlow has it; NaN is a missing value."""
        field, wanted = jsontext.shown(self.name), count * width
        found = self._unpacked(field) if self._tensor.tensor_content else list(getattr(self._tensor, self._field))
        if not found and wanted:
            raise oip_tensors.no_data(field, f"{self._field} or tensor_content")
        if len(found) > max(wanted, 0):
            raise oip_tensors.unfilled(field, wanted)
        found += found[-1:] * (wanted - len(found))
        if self.datatype == "BYTES":
            return [_text(value, field) for value in found]
        if self.datatype.startswith("FP"):
            found = [_number(value, field, at // max(width, 1)) for at, value in enumerate(found)]
        oip_tensors.require_fit(self.datatype, found, field, count, width)
        return found

    def _unpacked(self, field: str | None) -> list[Any]:
        raw, layout = self._tensor.tensor_content, self._layout
        if not layout or len(raw) % np.dtype(layout).itemsize:
            raise Malformed(
                "the bytes do not fill whole elements", code="BAD_BINARY", field=field, limit=layout or self._field
            )
        values: list[Any] = np.frombuffer(raw, layout).tolist()
        return values


def rows(inputs: Mapping[str, Any], codec: RowCodec) -> Rows:
    """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
    return oip_tensors.rows([InputTensor(name, tensor) for name, tensor in inputs.items()], codec)


def rows_of_examples(message: Any, codec: RowCodec) -> Rows:
    """Of an Input: every feature of every example has one value, or none where null may be. Raises as `rows`."""
    kind = message.WhichOneof("kind")
    if kind == "example_list_with_context":
        limit = "each feature in each example"
        raise Malformed("a context is not taken", code="UNSUPPORTED_PARAMETER", field="context", limit=limit)
    examples: Sequence[Any] = message.example_list.examples
    if not 0 < len(examples) <= codec.max_rows:
        raise row_errors.row_count(len(examples), codec.max_rows)
    columns: dict[str, list[Any]] = {name: [] for name in codec.names}
    for row, example in enumerate(examples):
        features = example.features.feature
        row_errors.columns(features, codec.names, row)
        for column in codec.columns:
            columns[column.name].append(_cell(column, features[column.name], row))
    return codec.from_columns(len(examples), columns)


def tensor_of(output: oip_tensors.Output) -> Any:
    """An answer's tensor as TensorFlow writes it."""
    kind = pb.DataType.Value(TYPE[output.datatype])
    shape = pb.TensorShapeProto(dim=[pb.TensorShapeProto.Dim(size=size) for size in output.shape])
    data = [text.encode() for text in output.data] if output.datatype == "BYTES" else output.data
    found = pb.TensorProto(dtype=kind, tensor_shape=shape)
    getattr(found, _KINDS[kind][1]).extend(data)
    return found


def _cell(column: Numeric | Text, feature: Any, row: int) -> Any:
    kind = feature.WhichOneof("kind")
    values = getattr(feature, kind).value if kind else ()
    if len(values) > 1:
        limit = "one value"
        raise Malformed(f"{column.name} has several values", code="BAD_SHAPE", field=column.name, row=row, limit=limit)
    if not values:
        return None
    if isinstance(column, Text) is not (kind == "bytes_list"):
        limit = "bytes_list" if isinstance(column, Text) else "float_list, int64_list"
        raise Rejected(f"{column.name} has another kind", code="WRONG_TYPE", field=column.name, row=row, limit=limit)
    if isinstance(column, Text):
        return _text(values[0], column.name)
    if column.type is DataType.BOOLEAN:
        return values[0] == 1 if values[0] in (0, 1) else values[0]
    return _number(values[0], column.name, row)


def _text(value: bytes, field: str | None) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Malformed("the texts cannot be read", code="BAD_BINARY", field=field, limit="UTF-8") from None


def _number(value: float, field: str | None, row: int) -> float | None:
    if isfinite(value):
        return value
    if isnan(value):
        return None
    raise row_errors.not_finite(field, row)
