"""What an ONNX graph must be before it may run here, and how its tensors map to the contract. In the child only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.onnx_graph import foreign_operators, outside_tensors
from modelmark.registry.refusal import Refusal

if TYPE_CHECKING:
    import numpy as np

_TYPES: Final = {1: "float32", 11: "float64", 7: "int64", 9: "bool", 8: "string"}


def read(data: bytes) -> Any:
    """The parsed model. Raises Refusal for damage, data kept in other files, and operators outside the standard."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # noqa: BLE001 - protobuf raises its own family
        raise Refusal("NOT_A_MODEL", f"this is not an ONNX model: {type(error).__name__}") from None
    if not model.graph.node:
        raise Refusal("NOT_A_MODEL", "the ONNX graph has no nodes")
    if foreign := {domain for domain, _ in foreign_operators(model)}:
        raise Refusal("CUSTOM_OPERATOR", f"the model uses operators of {', '.join(sorted(foreign))}")
    for name, _ in outside_tensors(model):
        raise Refusal(
            "EXTERNAL_DATA",
            f"the tensor {name!r} is kept in another file",
            "save the model with its weights inside",
        )
    return model


def infer_signature(model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Feeds for a graph that somebody else exported: one matrix of all inputs, or one tensor per named input."""
    weights = {tensor.name for tensor in model.graph.initializer}
    graph_inputs = [value for value in model.graph.input if value.name not in weights]
    names = [item["name"] for item in request["inputs"]]
    if len(graph_inputs) == 1 and len(names) > 1:
        feeds = [{"graph_input": graph_inputs[0].name, "columns": names, "dtype": _dtype(graph_inputs[0])}]
    else:
        known = {_plain(name): name for name in names}
        absent = [value.name for value in graph_inputs if _plain(value.name) not in known]
        if absent or len(graph_inputs) != len(names):
            have = ", ".join(value.name for value in graph_inputs)
            raise Refusal("COLUMNS_DIFFER", f"the graph takes {have}; the contract lists {', '.join(names)}")
        feeds = [
            {"graph_input": value.name, "columns": [known[_plain(value.name)]], "dtype": _dtype(value)}
            for value in graph_inputs
        ]
    return {"feeds": feeds, "score_output": _score_output(model, request)}


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)


def _dtype(value: Any) -> str:
    code = value.type.tensor_type.elem_type
    if code not in _TYPES:
        raise Refusal("CONVERSION_FAILED", f"the graph input {value.name!r} has an element type we do not feed")
    return _TYPES[code]


def _score_output(model: Any, request: Mapping[str, Any]) -> str:
    if any(value.type.HasField("sequence_type") for value in model.graph.output):
        raise Refusal(
            "CONVERSION_FAILED",
            "the graph answers a list of dictionaries instead of a tensor",
            "convert with the option zipmap=False",
        )
    numbers = [value.name for value in model.graph.output if value.type.tensor_type.elem_type in (1, 11)]
    if not numbers:
        raise Refusal("CONVERSION_FAILED", "the graph has no output of floating-point numbers")
    named = [name for name in numbers if "prob" in name.lower()]
    return str((named or numbers)[0 if request["task"] == "regression" else -1])


def check_signature(session: Any, signature: Mapping[str, Any]) -> None:
    """Refuse a signature that names inputs or outputs the graph does not have."""
    takes = {value.name for value in session.get_inputs()}
    fed = {feed["graph_input"] for feed in signature["feeds"]}
    gives = {value.name for value in session.get_outputs()}
    if takes != fed or signature["score_output"] not in gives:
        raise Refusal("CONVERSION_FAILED", f"the graph takes {sorted(takes)}, the signature feeds {sorted(fed)}")


def check_scores(scores: np.ndarray, request: Mapping[str, Any]) -> np.ndarray:
    """The scores, when there is one column per class (one for regression)."""
    wanted = 1 if request["task"] == "regression" else len(request["classes"])
    if scores.shape[1] != wanted:
        raise Refusal("CONVERSION_FAILED", f"the graph answers {scores.shape[1]} numbers a row; {wanted} are needed")
    return scores
