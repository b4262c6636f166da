"""A model that burns the processor, row by row, inside ONNX Runtime."""

from __future__ import annotations

from typing import Final

import numpy as np

COLUMNS: Final = 3
WIDTH: Final = 64


def graph(turns: int) -> bytes:
    """For each row, alone: so many products of a vector and a matrix, one after the other."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    matrices = {
        "into": draw.normal(0, 0.1, (COLUMNS, WIDTH)), "turn": draw.normal(0, 0.1, (WIDTH, WIDTH)),
        "out": draw.normal(0, 0.1, (WIDTH, 2)),
    }  # fmt: skip
    f, node = TensorProto.FLOAT, helper.make_node
    given = [numpy_helper.from_array(m.astype(np.float32), name) for name, m in matrices.items()]
    given += [numpy_helper.from_array(np.array(turns, np.int64), "turns")]
    once = helper.make_graph(
        [node("MatMul", ["v", "turn"], ["w"]), node("Tanh", ["w"], ["v_next"]), node("Identity", ["go"], ["go_next"])],
        "once",
        [helper.make_tensor_value_info("at", TensorProto.INT64, []),
         helper.make_tensor_value_info("go", TensorProto.BOOL, []), helper.make_tensor_value_info("v", f, [WIDTH])],
        [helper.make_tensor_value_info("go_next", TensorProto.BOOL, []), helper.make_tensor_value_info("v_next", f, [WIDTH])],
    )  # fmt: skip
    row = helper.make_graph(
        [node("MatMul", ["x", "into"], ["v0"]), node("Loop", ["turns", "", "v0"], ["v1"], body=once),
         node("MatMul", ["v1", "out"], ["logits"]), node("Softmax", ["logits"], ["p"], axis=0)],
        "row", [helper.make_tensor_value_info("x", f, [COLUMNS])], [helper.make_tensor_value_info("p", f, [2])],
    )  # fmt: skip
    whole = helper.make_graph(
        [node("Scan", ["X"], ["probabilities"], body=row, num_scan_inputs=1)],
        "rows",
        [helper.make_tensor_value_info("X", f, [None, COLUMNS])],
        [helper.make_tensor_value_info("probabilities", f, [None, 2])],
        given,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())
