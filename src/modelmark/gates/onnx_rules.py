"""What an ONNX graph must not hold: data kept in other files, and operators that would need a library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
#: Compiled into ONNX Runtime, not loaded from a library; text vectorisers need it.
_BUILT_IN: Final = frozenset({("com.microsoft", "Tokenizer")})


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
    own = {(f.domain, f.name) for f in model.functions}
    for node in _messages(model, onnx.NodeProto):
        key = (node.domain, node.op_type)
        if node.domain not in _DOMAINS and key not in _BUILT_IN and key not in own:
            yield f"the operator {node.op_type} of {node.domain!r} is custom"
    for tensor in _messages(model, onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            places = [e.value for e in tensor.external_data if e.key == "location"]
            yield f"the tensor {tensor.name!r} is kept in another file ({places[0] if places else 'unnamed'})"


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """Every message of one kind anywhere inside: attributes, subgraphs, functions, sparse tensors, training."""
    todo = [message]
    while todo:
        item = todo.pop()
        if isinstance(item, kind):
            yield item
        for field, value in item.ListFields():
            if field.message_type is not None:
                todo.extend(value if hasattr(value, "__len__") and not hasattr(value, "ListFields") else [value])
