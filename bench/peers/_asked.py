"""What every peer serves, told by `bench/serving.py` through one environment variable."""

from __future__ import annotations

import os
from typing import Any

import msgspec


class Feed(msgspec.Struct):
    """One tensor of the graph: the columns from `low` to `high`."""

    name: str
    low: int
    high: int
    text: bool


class Asked(msgspec.Struct):
    """graph, estimator: paths. columns: name and whether it is text, in the order of a row. output: of the graph."""

    graph: str
    estimator: str
    columns: list[tuple[str, bool]]
    feeds: list[Feed]
    output: str


ASKED = msgspec.json.decode(os.environ["BENCH_ASKED"], type=Asked)


def session() -> Any:
    """ONNX Runtime as it is set for servers: one thread, no spinning."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(ASKED.graph, options, providers=["CPUExecutionProvider"])
