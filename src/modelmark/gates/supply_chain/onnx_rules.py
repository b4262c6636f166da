"""What is wrong with an ONNX graph, in words."""

from __future__ import annotations

from collections.abc import Iterator

from modelmark.contract.onnx_graph import foreign_operators, outside_tensors


def faults(data: bytes) -> Iterator[str]:
    """Each thing wrong with the graph, in a few words. Never loads it into a runtime, never looks at the disk."""
    import onnx

    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # noqa: BLE001 - protobuf raises its own family
        yield f"it is not an ONNX model ({type(error).__name__})"
        return
    if not model.graph.node:
        yield "the graph has no nodes"
    for domain, operator in foreign_operators(model):
        yield f"the operator {operator} of {domain!r} is custom"
    for name, file in outside_tensors(model):
        yield f"the tensor {name!r} is kept in another file ({file or 'unnamed'})"
