"""What an ONNX graph must be before it may run here, and how its tensors map to the contract. In the child only."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from modelmark.contract.onnx_graph import foreign_operators, outside_tensors
from modelmark.registry import tensors
from modelmark.registry.refusal import Refusal, kind_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_ROW_SECONDS: Final = 5.0  # a model that needs longer for one row answers nobody in time

#: Element types of inputs we feed, and of outputs that are scores.
TYPES: Final = {1: "float32", 11: "float64", 7: "int64", 9: "bool", 8: "string"}
SCORES: Final = (1, 11)


def read(data: bytes) -> Any:
    """The parsed model. Raises Refusal for damage, data kept in other files, and operators outside the standard."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # noqa: BLE001 - protobuf raises its own family
        raise Refusal("not_a_graph", kind=kind_of(error)) from None
    if not model.graph.node:
        raise Refusal("not_a_graph")
    if any(foreign_operators(model)):
        raise Refusal("foreign_operators")
    if any(outside_tensors(model)):
        raise Refusal("outside_tensors")
    return model


def infer_signature(model: Any, request: Mapping[str, Any]) -> dict[str, Any]:
    """Feeds for a graph that somebody else exported: one matrix of all inputs, or one tensor per named input."""
    weights = {tensor.name for tensor in model.graph.initializer}
    graph_inputs = [value for value in model.graph.input if value.name not in weights]
    names = [item["name"] for item in request["inputs"]]
    if len(graph_inputs) == 1 and len(names) > 1:
        _require_matrix(graph_inputs[0], request)
        feeds = [{"graph_input": graph_inputs[0].name, "columns": names, "dtype": _dtype(graph_inputs[0])}]
    else:
        known = {plain_name(name): name for name in names}
        absent = [value.name for value in graph_inputs if plain_name(value.name) not in known]
        if absent or len(graph_inputs) != len(names):
            have = [value.name[:200] for value in graph_inputs[:20]]
            raise Refusal("graph_inputs", names=have, numbers=[len(graph_inputs), len(names)])
        feeds = [
            {"graph_input": value.name, "columns": [known[plain_name(value.name)]], "dtype": _dtype(value)}
            for value in graph_inputs
        ]
    return {"feeds": feeds, "score_output": _score_output(model, request)}


def _require_matrix(value: Any, request: Mapping[str, Any]) -> None:
    """Refuse a matrix of another width than the inputs have, and one of numbers for texts or the other way round."""
    inputs, dims = request["inputs"], value.type.tensor_type.shape.dim
    if len(dims) == 2 and dims[1].dim_value not in (0, len(inputs)):
        raise Refusal("column_count", numbers=[dims[1].dim_value, len(inputs)])
    takes_texts = _dtype(value) == "string"
    others = [item["name"] for item in inputs if (item["type"] in ("category", "string")) is not takes_texts]
    if others:
        raise Refusal("graph_takes_texts" if takes_texts else "graph_takes_numbers", names=others[:20])


def plain_name(name: str) -> str:
    """As exporters spell the name of a column."""
    return "".join(c if c.isalnum() else "_" for c in name)


def _dtype(value: Any) -> str:
    code = value.type.tensor_type.elem_type
    if code not in TYPES:
        raise Refusal("graph_type", names=[value.name[:200]])
    return TYPES[code]


def _score_output(model: Any, request: Mapping[str, Any]) -> str:
    if any(value.type.HasField("sequence_type") for value in model.graph.output):
        raise Refusal("graph_list")
    numbers = [value.name for value in model.graph.output if value.type.tensor_type.elem_type in SCORES]
    if not numbers:
        raise Refusal("graph_no_numbers")
    named = [name for name in numbers if "prob" in name.lower()]
    return str((named or numbers)[0 if request["task"] == "regression" else -1])


def check_signature(session: Any, signature: Mapping[str, Any]) -> None:
    """Refuse a signature that names inputs or outputs the graph does not have."""
    takes = {value.name for value in session.get_inputs()}
    fed = {feed["graph_input"] for feed in signature["feeds"]}
    gives = {value.name for value in session.get_outputs()}
    if takes != fed or signature["score_output"] not in gives:
        raise Refusal("graph_signature")


def session(data: bytes) -> Any:
    """An ONNX Runtime session. Raises MemoryError, or Refusal for a graph that it does not take."""
    with _told_plainly():
        return tensors.session(data)


def scores(session: Any, frame: pd.DataFrame, signature: Mapping[str, Any], request: Mapping[str, Any]) -> np.ndarray:
    """The graph's scores of the whole table, after one row has shown that it answers in time at all."""
    import onnxruntime as ort

    options, feeds = ort.RunOptions(), tensors.feeds_of(frame.iloc[:1], signature)
    late = threading.Timer(_ROW_SECONDS, lambda: setattr(options, "terminate", True))
    late.daemon = True
    late.start()
    try:
        with _told_plainly():
            session.run([signature["score_output"]], feeds, options)
    except Refusal:
        if options.terminate:
            raise Refusal("slow_row", numbers=[int(_ROW_SECONDS)]) from None
        raise
    finally:
        late.cancel()
    with _told_plainly():
        return tensors.run(session, frame, signature, int(request["rows_per_run"]))


@contextmanager
def _told_plainly() -> Iterator[None]:
    """What ONNX Runtime raises, as a reason. It has one family of errors for memory and everything else."""
    try:
        yield
    except (MemoryError, Refusal):
        raise
    except Exception as error:  # noqa: BLE001 - any failure of a foreign graph is the graph's fault
        if "allocate memory" in str(error) or "bad_alloc" in str(error) or "bad allocation" in str(error):
            raise MemoryError from None
        raise Refusal("graph_failed", kind=kind_of(error)) from None


def check_scores(scores: np.ndarray, request: Mapping[str, Any]) -> np.ndarray:
    """The scores, when there is one column per class (one for regression)."""
    wanted = 1 if request["task"] == "regression" else len(request["classes"])
    if scores.shape[1] != wanted:
        raise Refusal("graph_width", numbers=[scores.shape[1], wanted])
    return scores
