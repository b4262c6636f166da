"""Powers of columns in the precision of the numbers: skl2onnx knows them in float32 only, and without doubles a value that ties
with a split may cross it."""

from __future__ import annotations

from typing import Any, Final

from modelmark.registry.original.inputs import floats, together, width
from modelmark.registry.original.nodes import Nodes

#: So near to it an exponent is 0, as scikit-learn has it.
_NONE: Final = 2.3e-16


def teach() -> None:
    """Let skl2onnx convert PowerTransformer and PolynomialFeatures so, in this process."""
    from skl2onnx import update_registered_converter
    from sklearn.preprocessing import PolynomialFeatures, PowerTransformer

    update_registered_converter(PowerTransformer, "ModelmarkPower", _as_wide, _power, overwrite=True)
    update_registered_converter(PolynomialFeatures, "ModelmarkPolynomial", _as_terms, _polynomial, overwrite=True)


def _as_wide(operator: Any) -> None:
    operator.outputs[0].type = floats(operator)([None, width(operator)])


def _as_terms(operator: Any) -> None:
    operator.outputs[0].type = floats(operator)([None, len(operator.raw_operator.powers_)])


def _power(scope: Any, operator: Any, container: Any) -> None:
    """Yeo and Johnson 2000, or Box and Cox 1964, each column with its own exponent; then the scaler inside."""
    from skl2onnx.common._apply_operation import apply_identity

    at, to = together(scope, operator, container)
    step, nodes = operator.raw_operator, Nodes(scope, container)
    exponents = [float(value) for value in step.lambdas_]
    if step.method == "box-cox":
        at = _raised(nodes, at, to, exponents)
    else:
        one, nought = nodes.constant(to, [1.0]), nodes.constant(to, [0.0])
        above = nodes.add("Add", nodes.add("Max", at, nought), one)
        below = nodes.add("Sub", one, nodes.add("Min", at, nought))
        up = _raised(nodes, above, to, exponents)
        down = _raised(nodes, below, to, [2 - value for value in exponents])
        null = nodes.add("Sub", at, at)  # 0, and null where it is null, whatever the largest of null and 0 may be
        at = nodes.add("Add", nodes.add("Sub", up, down), null)  # one of the two is 0
    if step.standardize:
        scaler = step._scaler
        at = nodes.add("Sub", at, nodes.constant(to, [float(value) for value in scaler.mean_]))
        at = nodes.add("Div", at, nodes.constant(to, [float(value) for value in scaler.scale_]))
    apply_identity(scope, at, operator.outputs[0].full_name, container)


def _raised(nodes: Nodes, at: str, to: int, exponents: list[float]) -> str:
    """(x ** e - 1) / e by column, and its limit log x where e is 0."""
    from skl2onnx.proto import onnx_proto

    one = nodes.constant(to, [1.0])
    none = [abs(value) < _NONE for value in exponents]
    by = nodes.constant(to, [1.0 if nothing else value for value, nothing in zip(exponents, none, strict=True)])
    found = nodes.add("Div", nodes.add("Sub", nodes.add("Pow", at, by), one), by)
    if not any(none):
        return found
    return nodes.add("Where", nodes.constant(onnx_proto.TensorProto.BOOL, none), nodes.add("Log", at), found, version=9)


def _polynomial(scope: Any, operator: Any, container: Any) -> None:
    """Each term as the product of as many columns as its degree says; a column of ones fills up the lower ones."""
    from skl2onnx.common._apply_operation import apply_identity
    from skl2onnx.proto import onnx_proto

    at, to = together(scope, operator, container)
    nodes, powers = Nodes(scope, container), operator.raw_operator.powers_.tolist()
    columns = len(powers[0])
    factors = [[place for place, power in enumerate(term) for _ in range(power)] for term in powers]
    most = max(1, max(map(len, factors)))
    first = nodes.add("Gather", at, nodes.constant(onnx_proto.TensorProto.INT64, [0]), axis=1)
    ones = nodes.add("Pow", first, nodes.constant(to, [0.0]))  # also of null
    filled = nodes.add("Concat", at, ones, axis=1)
    product = ""
    for turn in range(most):
        places = [term[turn] if turn < len(term) else columns for term in factors]
        factor = nodes.add("Gather", filled, nodes.constant(onnx_proto.TensorProto.INT64, places), axis=1)
        product = nodes.add("Mul", product, factor) if product else factor
    apply_identity(scope, product, operator.outputs[0].full_name, container)
