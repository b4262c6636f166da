"""What the converters of our own begin with: every input of a step as one matrix of floats."""

from __future__ import annotations

from typing import Any


def floats(operator: Any) -> Any:
    """The type of such a matrix: doubles where any input has them."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    return (
        DoubleTensorType if any(isinstance(one.type, DoubleTensorType) for one in operator.inputs) else FloatTensorType
    )


def width(operator: Any) -> int:
    return sum(int(one.type.shape[1]) for one in operator.inputs)


def together(scope: Any, operator: Any, container: Any) -> tuple[str, int]:
    """Add what casts and joins the inputs; the matrix's name and element type."""
    from skl2onnx.common._apply_operation import apply_cast, apply_concat
    from skl2onnx.common.data_types import DoubleTensorType
    from skl2onnx.proto import onnx_proto

    to = onnx_proto.TensorProto.DOUBLE if floats(operator) is DoubleTensorType else onnx_proto.TensorProto.FLOAT
    cast = []
    for one in operator.inputs:
        cast.append(scope.get_unique_variable_name("number"))
        apply_cast(scope, one.full_name, cast[-1], container, to=to)
    if len(cast) == 1:
        return cast[0], int(to)
    joined = str(scope.get_unique_variable_name("together"))
    apply_concat(scope, cast, joined, container, axis=1)
    return joined, int(to)
