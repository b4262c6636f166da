"""NumPy's own functions as steps of a pipeline, for the converter that knows none."""

from __future__ import annotations

import math
from typing import Any, Final

from modelmark.registry.original.inputs import floats, together, width

#: NumPy function -> ONNX operators, each with the constant that is its second input; "self" stands for the value itself.
_OPERATORS: Final[dict[str, tuple[tuple[str, float | str | None], ...]]] = {
    "log1p": (("Add", 1.0), ("Log", None)),
    "expm1": (("Exp", None), ("Sub", 1.0)),
    "log": (("Log", None),),
    "log2": (("Log", None), ("Div", math.log(2))),
    "log10": (("Log", None), ("Div", math.log(10))),
    "exp": (("Exp", None),),
    "sqrt": (("Sqrt", None),),
    "square": (("Mul", "self"),),
    "absolute": (("Abs", None),),
    "reciprocal": (("Reciprocal", None),),
    "negative": (("Neg", None),),
    "sign": (("Sign", None),),
    "floor": (("Floor", None),),
    "ceil": (("Ceil", None),),
    "tanh": (("Tanh", None),),
    "sin": (("Sin", None),),
    "cos": (("Cos", None),),
}


def knows(step: Any) -> bool:
    """Whether a FunctionTransformer calls nothing, or one of NumPy's functions by itself."""
    import numpy as np

    if step.func is None:
        return True
    return isinstance(step.func, np.ufunc) and step.func.__name__ in _OPERATORS and not step.kw_args


def teach() -> None:
    """Let skl2onnx convert these steps, in this process."""
    from skl2onnx import update_registered_converter
    from sklearn.preprocessing import FunctionTransformer

    update_registered_converter(FunctionTransformer, "ModelmarkFunction", _shapes, _convert, overwrite=True)


def _shapes(operator: Any) -> None:
    operator.outputs[0].type = floats(operator)([None, width(operator)])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    from skl2onnx.common._apply_operation import apply_identity

    at, to = together(scope, operator, container)
    step = operator.raw_operator
    for kind, second in _OPERATORS[step.func.__name__] if step.func is not None else ():
        inputs = [at]
        if second == "self":
            inputs.append(at)
        elif second is not None:
            inputs.append(scope.get_unique_variable_name("constant"))
            container.add_initializer(inputs[-1], to, [1], [second])
        at = scope.get_unique_variable_name(kind.lower())
        container.add_node(kind, inputs, at, name=scope.get_unique_operator_name(kind), op_version=13)
    apply_identity(scope, at, operator.outputs[0].full_name, container)
