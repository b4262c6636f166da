"""Gaps in numbers filled in the precision of the numbers: ONNX Runtime's own operator knows float32 only, and without doubles a
scaled value that ties with a split may cross it."""

from __future__ import annotations

from typing import Any

from modelmark.registry.original.inputs import floats, together, width


def teach() -> None:
    """Let skl2onnx convert imputers of numbers so, in this process; those of texts it converts as ever."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.impute import SimpleImputer

    convert, shapes = get_converter("SklearnSimpleImputer"), get_shape_calculator("SklearnSimpleImputer")

    def our_shapes(operator: Any) -> None:
        if _fills_numbers(operator):
            operator.outputs[0].type = floats(operator)([None, width(operator)])
        else:
            shapes(operator)

    def our_convert(scope: Any, operator: Any, container: Any) -> None:
        (_convert if _fills_numbers(operator) else convert)(scope, operator, container)

    update_registered_converter(SimpleImputer, "ModelmarkImputer", our_shapes, our_convert, overwrite=True)


def _fills_numbers(operator: Any) -> bool:
    import numpy as np
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType

    values = operator.raw_operator.statistics_.tolist()  # a constant makes objects of them
    numbers = all(isinstance(one.type, (DoubleTensorType, FloatTensorType, Int64TensorType)) for one in operator.inputs)
    missing = operator.raw_operator.missing_values
    gaps = isinstance(missing, float) and np.isnan(missing)
    known = all(isinstance(value, (int, float)) and np.isfinite(value) for value in values)
    return bool(numbers and gaps and known)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    at, to = together(scope, operator, container)
    fills, gaps = scope.get_unique_variable_name("fills"), scope.get_unique_variable_name("gaps")
    values = operator.raw_operator.statistics_
    container.add_initializer(fills, to, [1, len(values)], [float(value) for value in values])
    container.add_node("IsNaN", at, gaps, name=scope.get_unique_operator_name("IsNaN"), op_version=13)
    out = operator.outputs[0].full_name
    container.add_node("Where", [gaps, fills, at], out, name=scope.get_unique_operator_name("Where"), op_version=9)
