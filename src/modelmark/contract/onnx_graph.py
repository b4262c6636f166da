"""What an ONNX graph must not hold: operators that would need a library, and data kept in other files.

Said once for who registers a graph and for the gate that looks at it again. Nothing is run, and the disk is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
#: Compiled into ONNX Runtime, not loaded from a library; text vectorisers need it.
BUILT_IN: Final = frozenset({("com.microsoft", "Tokenizer")})


def foreign_operators(model: Any) -> Iterator[tuple[str, str]]:
    """(domain, operator) of every node outside the standard that the model does not define itself.

    An imported domain that no node uses brings nothing in.
    """
    import onnx

    own = {(function.domain, function.name) for function in model.functions}
    for node in _messages(model, onnx.NodeProto):
        key = (node.domain, node.op_type)
        if node.domain not in DOMAINS and key not in BUILT_IN and key not in own:
            yield key


def outside_tensors(model: Any) -> Iterator[tuple[str, str]]:
    """(name, file) of every tensor whose data is not inside; the file is empty where none is named."""
    import onnx

    for tensor in _messages(model, onnx.TensorProto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            yield tensor.name, next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


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
