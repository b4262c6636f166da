"""Numbers that are categories, where null or a fraction may stand among them: ONNX Runtime's own operators know whole numbers
only, and take null for any unknown one."""

from __future__ import annotations

from typing import Any

from modelmark.registry.original.inputs import floats, together, width
from modelmark.registry.original.nodes import Nodes


def teach() -> None:
    """Let skl2onnx convert such encoders, in this process; all others it converts as ever."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, get_shape_calculator
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

    convert, shapes = get_converter("SklearnOneHotEncoder"), get_shape_calculator("SklearnOneHotEncoder")
    options = {"separators": None, "handle_unknown": None}

    def our_convert(scope: Any, operator: Any, container: Any) -> None:
        (_one_hot if _knows_more(operator) else convert)(scope, operator, container)

    update_registered_converter(OneHotEncoder, "ModelmarkOneHot", shapes, our_convert, overwrite=True, options=options)
    convert_codes, shapes_codes = get_converter("SklearnOrdinalEncoder"), get_shape_calculator("SklearnOrdinalEncoder")

    def our_shapes(operator: Any) -> None:
        if _takes_numbers(operator, "use_encoded_value"):
            operator.outputs[0].type = floats(operator)([None, width(operator)])
        else:
            shapes_codes(operator)

    def our_codes(scope: Any, operator: Any, container: Any) -> None:
        ours = _takes_numbers(operator, "use_encoded_value")
        (_ordinal if ours else convert_codes)(scope, operator, container)

    update_registered_converter(OrdinalEncoder, "ModelmarkOrdinal", our_shapes, our_codes, overwrite=True)


def _takes_numbers(operator: Any, unknown: str) -> bool:
    """Whether all inputs may hold null or fractions, and all categories are numbers. An encoder that refuses the unknown is left
    alone."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    step = operator.raw_operator
    numbers = all(isinstance(one.type, (DoubleTensorType, FloatTensorType)) for one in operator.inputs)
    known = [value for values in step.categories_ for value in values.tolist()]
    plain = all(isinstance(value, (int, float)) for value in known)
    return numbers and plain and step.handle_unknown == unknown and not getattr(step, "_infrequent_enabled", False)


def _knows_more(operator: Any) -> bool:
    """Whether a category is none that is whole."""
    known = [value for values in operator.raw_operator.categories_ for value in values.tolist()]
    return _takes_numbers(operator, "ignore") and any(value % 1 != 0 for value in known)


def _one_hot(scope: Any, operator: Any, container: Any) -> None:
    """Each column as often as it has categories, compared with them all at once; null equals the category that is null."""
    from skl2onnx.common._apply_operation import apply_cast
    from skl2onnx.proto import onnx_proto

    at, to = together(scope, operator, container)
    step, nodes = operator.raw_operator, Nodes(scope, container)
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(step.categories_)
    pairs = [
        (column, float(value))
        for column, (values, skip) in enumerate(zip(step.categories_, dropped, strict=True))
        for place, value in enumerate(values.tolist())
        if place != skip
    ]

    columns = nodes.constant(onnx_proto.TensorProto.INT64, [column for column, _ in pairs])
    values = nodes.constant(to, [value for _, value in pairs])  # of which null equals nothing
    is_null = nodes.constant(onnx_proto.TensorProto.BOOL, [value != value for _, value in pairs])
    repeated = nodes.add("Gather", at, columns, axis=1)
    equal, gaps = nodes.add("Equal", repeated, values), nodes.add("IsNaN", repeated)
    same = nodes.add("Or", equal, nodes.add("And", gaps, is_null, version=7), version=7)
    apply_cast(scope, same, operator.outputs[0].full_name, container, to=onnx_proto.TensorProto.FLOAT)


def _ordinal(scope: Any, operator: Any, container: Any) -> None:
    """A column's place among its categories: what each comparison found, times the place, summed by column."""
    from skl2onnx.common._apply_operation import apply_cast, apply_identity
    from skl2onnx.proto import onnx_proto

    at, to = together(scope, operator, container)
    step, nodes, columns = operator.raw_operator, Nodes(scope, container), width(operator)
    known = [values.tolist() for values in step.categories_]
    pairs = [
        (column, place, float(value))
        for column, values in enumerate(known)
        for place, value in enumerate(values)
        if value == value
    ]
    unknown = float(step.unknown_value)
    missing = [float(step.encoded_missing_value) if any(v != v for v in values) else unknown for values in known]
    sums = [0.0] * (len(pairs) * columns), [0.0] * (len(pairs) * columns)
    for row, (column, place, _) in enumerate(pairs):
        sums[0][row * columns + column], sums[1][row * columns + column] = float(place), 1.0
    gathered = nodes.add("Gather", at, nodes.constant(onnx_proto.TensorProto.INT64, [c for c, *_ in pairs]), axis=1)
    equal = nodes.add("Equal", gathered, nodes.constant(to, [value for *_, value in pairs]))
    numbers = str(scope.get_unique_variable_name("found"))
    apply_cast(scope, equal, numbers, container, to=to)
    shape = [len(pairs), columns]
    places, found = (nodes.add("MatMul", numbers, nodes.constant(to, each, shape)) for each in sums)
    told = nodes.add("Greater", found, nodes.constant(to, [0.5]))
    coded = nodes.add("Where", told, places, nodes.constant(to, [unknown]), version=9)
    coded = nodes.add("Where", nodes.add("IsNaN", at), nodes.constant(to, missing), coded, version=9)
    apply_identity(scope, coded, operator.outputs[0].full_name, container)
