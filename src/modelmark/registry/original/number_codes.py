"""Numbers as one-hot columns where null, or a fraction, is a category: ONNX Runtime's own operator knows whole numbers only."""

from __future__ import annotations

from typing import Any

from modelmark.registry.original.inputs import together


def teach() -> None:
    """Let skl2onnx convert such encoders, in this process; all others it converts as ever."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.preprocessing import OneHotEncoder

    convert, shapes = get_converter("SklearnOneHotEncoder"), get_shape_calculator("SklearnOneHotEncoder")
    options = {"separators": None, "handle_unknown": None}

    def our_convert(scope: Any, operator: Any, container: Any) -> None:
        (_convert if _knows_more(operator) else convert)(scope, operator, container)

    update_registered_converter(OneHotEncoder, "ModelmarkOneHot", shapes, our_convert, overwrite=True, options=options)


def _knows_more(operator: Any) -> bool:
    """Whether all inputs are numbers and a category is none that is whole. An encoder that refuses the unknown is left alone."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    step = operator.raw_operator
    numbers = all(isinstance(one.type, (DoubleTensorType, FloatTensorType)) for one in operator.inputs)
    known = [value for values in step.categories_ for value in values.tolist()]
    floats = all(isinstance(value, (int, float)) for value in known)
    return numbers and floats and step.handle_unknown == "ignore" and any(value % 1 != 0 for value in known)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Each column as often as it has categories, compared with them all at once; null equals the category that is null."""
    from skl2onnx.common._apply_operation import apply_cast
    from skl2onnx.proto import onnx_proto

    at, to = together(scope, operator, container)
    step = operator.raw_operator
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(step.categories_)
    pairs = [
        (column, float(value))
        for column, (values, skip) in enumerate(zip(step.categories_, dropped, strict=True))
        for place, value in enumerate(values.tolist())
        if place != skip
    ]

    def constant(kind: int, values: list[Any]) -> str:
        name: str = scope.get_unique_variable_name("known")
        container.add_initializer(name, kind, [len(values)], values)
        return name

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        name: str = scope.get_unique_variable_name(kind.lower())
        container.add_node(kind, inputs, name, name=scope.get_unique_operator_name(kind), **attributes)
        return name

    columns = constant(onnx_proto.TensorProto.INT64, [column for column, _ in pairs])
    values = constant(to, [value for _, value in pairs])  # of which null equals nothing
    is_null = constant(onnx_proto.TensorProto.BOOL, [value != value for _, value in pairs])
    repeated = node("Gather", [at, columns], axis=1, op_version=13)
    equal = node("Equal", [repeated, values], op_version=13)
    gaps = node("IsNaN", [repeated], op_version=13)
    same = node("Or", [equal, node("And", [gaps, is_null], op_version=7)], op_version=7)
    apply_cast(scope, same, operator.outputs[0].full_name, container, to=onnx_proto.TensorProto.FLOAT)
