"""The Open Inference Protocol's tensors, however they travel: named tensors to rows, answers to named tensors.

Inputs: one tensor per column, shape [n] or [n, 1]; or, when every input is numeric, one tensor of shape [n, columns]
under any name that is no column. Answers: `label` and `probabilities`, or `value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from modelmark import __version__
from modelmark.contract import jsontext, row_errors
from modelmark.contract.columns import FLOAT32_MAX
from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.classes import class_text
from modelmark.domain.contract import DataType
from modelmark.domain.errors import Malformed, Missing, Rejected
from modelmark.domain.metrics import Task
from modelmark.domain.predictions.prediction import ServedBy
from modelmark.domain.version import ONNX, ONNX_FILE
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute, LoadedModel

NAME: Final = "modelmark"
RELEASE: Final = __version__
MAX_ENTITY: Final = 256
#: Of requests, inputs and outputs: parameters that mean something here, and MLServer's hint about encodings, which changes
#: nothing. Any other asks for what would not be done.
REQUEST_PARAMETERS: Final = frozenset({"entity", "binary_data_output", "content_type"})
INPUT_PARAMETERS: Final = frozenset({"binary_data_size", "content_type"})
OUTPUT_PARAMETERS: Final = frozenset({"binary_data", "content_type", "classification"})
#: What of Triton's extensions is spoken, over REST and gRPC alike.
EXTENSIONS: Final = ("classification", "model_repository", "model_configuration", "statistics")
PROBABILITIES: Final = "probabilities"
_FLOATS: Final = frozenset({"FP16", "FP32", "FP64"})
#: Datatype -> smallest and largest value.
_INTEGERS: Final[Mapping[str, tuple[int, int]]] = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
_DATATYPE: Final[Mapping[DataType, str]] = {
    DataType.NUMBER: "FP64",
    DataType.INTEGER: "INT64",
    DataType.BOOLEAN: "BOOL",
    DataType.CATEGORY: "BYTES",
    DataType.STRING: "BYTES",
}
#: What the protocol calls a kind of model; others go by the flavour's name.
_PLATFORM: Final[Mapping[str, str]] = dict.fromkeys((ONNX, ONNX_FILE), "onnx_onnxv1")


class Tensor(Protocol):
    """One input tensor as it came."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> list[int]: ...
    @property
    def datatype(self) -> str: ...

    def values(self, count: int, width: int) -> list[Any]:
        """Its count x width elements, flat and row-major, None for null. Raises Rejected when it has not just these."""
        ...


class Output(NamedTuple):
    """One output tensor: data flat and row-major."""

    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


def rows(inputs: Sequence[Tensor], codec: RowCodec) -> Rows:
    """Raises Malformed for what the protocol forbids, Rejected for what the contract does."""
    if not inputs:
        raise Malformed("there are no inputs", code="NO_INPUTS", field="inputs")
    names = [tensor.name for tensor in inputs]
    if len(set(names)) < len(names):
        raise Malformed("an input came twice", code="DUPLICATE_COLUMN", field="inputs")
    if len(inputs) == 1 and names[0] not in codec.names and not codec.textual:
        return _matrix(inputs[0], codec)
    row_errors.columns(names, codec.names)
    require_rows(inputs, codec)
    count = inputs[0].shape[0] if inputs[0].shape else 0
    columns: dict[str, list[Any]] = {}
    for tensor in inputs:
        if tensor.shape not in ([count], [count, 1]):
            limit = f"[{max(count, 1)}] or [{max(count, 1)}, 1]"
            raise Malformed(f"{tensor.name} has another shape", code="BAD_SHAPE", field=tensor.name, limit=limit)
        columns[tensor.name] = tensor.values(count, 1)
    return codec.from_columns(count, columns)


def require_rows(inputs: Sequence[Tensor], codec: RowCodec) -> None:
    """Before any data is read: no tensor says that it has more rows than the contract allows. Raises Rejected."""
    for tensor in inputs:
        if tensor.shape and tensor.shape[0] > codec.max_rows:
            raise row_errors.row_count(tensor.shape[0], codec.max_rows)


def _matrix(tensor: Tensor, codec: RowCodec) -> Rows:
    width = len(codec.numeric)
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise Malformed(
            "the tensor has another shape",
            code="BAD_SHAPE",
            field=jsontext.shown(tensor.name),
            limit=f"[rows, {width}]",
        )
    if not 0 < tensor.shape[0] <= codec.max_rows:
        raise row_errors.row_count(max(tensor.shape[0], 0), codec.max_rows)
    if any(column.type is DataType.BOOLEAN for column in codec.numeric):
        raise Malformed("inputs of several types need a tensor each", code="BAD_SHAPE", field="inputs")
    values = tensor.values(tensor.shape[0], width)
    columns = {column.name: values[j::width] for j, column in enumerate(codec.numeric)}
    return codec.from_columns(tensor.shape[0], columns)


def kind_of(datatype: str, field: str | None) -> str:
    """`float`, `int`, `bool` or `text`. Raises Malformed."""
    if datatype in _FLOATS:
        return "float"
    if datatype in _INTEGERS:
        return "int"
    if datatype in ("BOOL", "BYTES"):
        return "bool" if datatype == "BOOL" else "text"
    raise Malformed(
        "the datatype is not known",
        code="BAD_DATATYPE",
        field=field,
        limit="BOOL, INT8..64, UINT8..64, FP16..64, BYTES",
    )


def require_fit(datatype: str, values: list[Any], field: str | None, count: int, width: int) -> None:
    """As many values as the shape says, each in its datatype's range. Raises Malformed, Rejected."""
    if len(values) != count * width:
        raise unfilled(field, count * width)
    low, high = _INTEGERS.get(datatype, (-FLOAT32_MAX, FLOAT32_MAX) if datatype in ("FP32", "FP16") else (0, 0))
    if datatype == "FP16":
        low, high = -65504.0, 65504.0
    if low == high:
        return
    for index, value in enumerate(values):
        if value is not None and not low <= value <= high:
            raise Rejected(
                "a value does not fit its datatype",
                code="OUT_OF_RANGE",
                field=field,
                row=index // width,
                limit=datatype,
            )


def unfilled(field: str | None, elements: int) -> Malformed:
    return Malformed("the data does not fill the shape", code="BAD_SHAPE", field=field, limit=f"{elements} elements")


def no_data(field: str | None, limit: str) -> Malformed:
    return Malformed("a tensor has no data", code="NO_DATA", field=field, limit=limit)


def entity_of(value: object) -> str:
    """The request's `entity` parameter, checked. Raises Rejected."""
    if not isinstance(value, str) or len(value) > MAX_ENTITY:
        limit = f"{MAX_ENTITY} characters"
        raise Rejected("entity must be a short string", code="WRONG_TYPE", field="entity", limit=limit)
    return value


def output_names(task: Task) -> tuple[str, ...]:
    return ("value",) if task is Task.REGRESSION else ("label", PROBABILITIES)


def require_parameters(given: Iterable[str] | None, known: frozenset[str]) -> None:
    """Raises Malformed for a parameter that nobody here reads."""
    for name in given or ():
        if name not in known:
            raise Malformed(
                "a parameter is not supported",
                code="UNSUPPORTED_PARAMETER",
                field=jsontext.shown(name),
                limit=", ".join(sorted(known)),
            )


def require_outputs(names: Sequence[str], task: Task) -> None:
    """Raises Malformed when an output is asked for twice, or a model of that task has none of that name."""
    if len(set(names)) < len(names):
        raise Malformed("an output is asked for twice", code="DUPLICATE_OUTPUT", field="outputs")
    for name in names:
        if name not in output_names(task):
            raise Malformed(
                "an output of that name does not exist",
                code="UNKNOWN_OUTPUT",
                field=jsontext.shown(name),
                limit=", ".join(output_names(task)),
            )


def outputs(answer: Answer, wanted: Iterable[str] | None) -> list[Output]:
    """What an answer says, as tensors; nothing when a person will answer. wanted: only these; None for all."""
    version, n = answer.version, answer.rows.count
    found: list[Output] = []
    if answer.served_by is not ServedBy.REVIEW:
        if version.decide.regression:
            found.append(Output("value", [n], "FP64", answer.scores))
        else:
            classes, datatype = version.contract.outputs.classes, _label_type(version)
            names = [str(name) for name in classes] if datatype == "BYTES" else classes
            found.append(Output("label", [n], datatype, [names[at] for at in answer.decided]))
            if answer.served_by is not ServedBy.CONSTANT:
                found.append(Output(PROBABILITIES, [n, len(classes)], "FP64", answer.scores))
    return found if wanted is None else [output for output in found if output.name in wanted]


def class_counts(asked: Iterable[tuple[str, object]]) -> dict[str, int]:
    """How many classes are wanted of an output, by its name, where the parameter `classification` says so.

    asked: outputs with the value of that parameter, None where it is not given. Raises Malformed.
    """
    found: dict[str, int] = {}
    for name, count in asked:
        if count is None:
            continue
        if name != PROBABILITIES:
            limit = f"of {PROBABILITIES} alone"
            message = "this output has no classes"
            raise Malformed(message, code="UNSUPPORTED_PARAMETER", field="classification", limit=limit)
        if isinstance(count, bool) or not isinstance(count, (int, float)) or count < 1 or not float(count).is_integer():
            message = "the number of classes is none"
            raise Malformed(message, code="WRONG_TYPE", field="classification", limit="a whole number from 1")
        found[name] = int(count)
    return found


def top(output: Output, answer: Answer, count: int) -> Output:
    """The most probable classes of each row, as Triton writes them: `value:index:label`."""
    names = [class_text(name) for name in answer.version.contract.outputs.classes]
    width, rows = len(names), output.shape[0]
    kept, data = min(count, width), []
    for row in range(rows):
        scores = output.data[row * width : (row + 1) * width]
        best = sorted(range(width), key=lambda at, scores=scores: (-scores[at], at))[:kept]  # type: ignore[misc]
        data += [f"{scores[at]:f}:{at}:{names[at]}" for at in best]
    return Output(output.name, [rows, kept], "BYTES", data)


def told(answer: Answer, wanted: Iterable[str] | None, counts: Mapping[str, int]) -> list[Output]:
    """`outputs`, with classes where they are wanted."""
    found = outputs(answer, wanted)
    return [top(output, answer, counts[output.name]) if output.name in counts else output for output in found]


def parameters(answer: Answer) -> dict[str, str]:
    """What stands beside the outputs."""
    found = {"prediction_id": answer.id, "arm": answer.arm, "served_by": str(answer.served_by)}
    if answer.flags:
        found["flags"] = ";".join(f"{row}:{name}:{flag}" for row, name, flag in answer.flags)
    return found


def metadata(route: LiveRoute, version: LoadedModel) -> dict[str, Any]:
    """The protocol's description of a model."""
    contract = version.contract
    found: list[dict[str, Any]] = [{"name": "value", "datatype": "FP64", "shape": [-1]}]
    if contract.model.task is not Task.REGRESSION:
        found = [
            {"name": "label", "datatype": _label_type(version), "shape": [-1]},
            {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(version.classes)]},
        ]
    return {
        "name": route.model,
        "versions": [arm.version.label for arm in route.arms],
        "platform": _PLATFORM.get(version.flavour, version.flavour),
        "inputs": [{"name": i.name, "datatype": _DATATYPE[i.type], "shape": [-1, 1]} for i in contract.inputs],
        "outputs": found,
    }


def arm_named(route: LiveRoute, name: str) -> int:
    """The arm whose version goes by that name. Raises Missing."""
    for index, arm in enumerate(route.arms):
        if name in arm.version.names:
            return index
    raise Missing("the model serves no such version or action", code="NOT_FOUND", field=route.model)


def _label_type(version: LoadedModel) -> str:
    kinds = {type(name) for name in version.contract.outputs.classes}
    return {bool: "BOOL", int: "INT64"}.get(kinds.pop(), "BYTES") if len(kinds) == 1 else "BYTES"
