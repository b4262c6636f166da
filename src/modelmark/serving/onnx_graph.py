"""ONNX graphs in ONNX Runtime: opened from verified bytes, filled from columns, run on one thread.

A graph that names tensors in other files is refused: ONNX Runtime would open any path written there, relative to the
working directory even when the model comes from memory, so a model that names any is refused here, before the runtime
sees it. The check walks the protobuf's wire format itself: the `onnx` package would do it too, at 60 MB of memory and
0.4 s in every worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from modelmark.domain.errors import NotPermitted
from modelmark.domain.version import Feed

Run = Callable[[NDArray[np.float64], Sequence[str]], NDArray[np.float64]]

_DTYPES: Final[Mapping[str, Any]] = {
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "bool": np.bool_,
}

#: message -> field number -> message inside, as in onnx.proto; only the ways that lead to a tensor.
_INSIDE: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_EXTERNAL_DATA: Final = 13
_DATA_LOCATION: Final = 14
_MAX_DEPTH: Final = 64
#: Runs of unpacked floats (field 7) and integers (field 8) in an attribute, skipped at C speed.
_RUNS: Final = re.compile(rb"(?:\x3d.{4})+|(?:\x40[\x80-\xff]{0,9}[\x00-\x7f])+", re.DOTALL)


def open_graph(artifact: bytes) -> Any:
    """A session over the bytes. Raises NotPermitted for tensors in other files, and what ONNX Runtime raises."""
    refuse_external_data(artifact)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(artifact, options, providers=["CPUExecutionProvider"])


def runner(
    session: Any, feeds: Sequence[Feed], score_output: str, *, numeric: Sequence[str], textual: Sequence[str]
) -> Run:
    """The session as `Flavour.run`. Raises NotPermitted when feeds or output are not the graph's."""
    if {feed.graph_input for feed in feeds} != {item.name for item in session.get_inputs()}:
        raise NotPermitted("the signature feeds other inputs than the graph has", code="BAD_SIGNATURE_FILE")
    if score_output not in {item.name for item in session.get_outputs()}:
        raise NotPermitted("the graph lacks the output that the signature names", code="BAD_SIGNATURE_FILE")
    # What is behind the public `run`: that one compares names of inputs on each call, which was done above for good.
    direct = getattr(session, "_sess", session).run
    outputs = [score_output]
    fills = [(feed.graph_input, _fill(feed, numeric, textual)) for feed in feeds]

    def run(numbers: NDArray[np.float64], texts: Sequence[str]) -> NDArray[np.float64]:
        tensors = {name: fill(numbers, texts) for name, fill in fills}
        scores = np.asarray(direct(outputs, tensors, None)[0], np.float64)
        return scores if scores.ndim == 2 else scores.reshape(len(numbers), -1)

    return run


Fill = Callable[[NDArray[np.float64], Sequence[str]], NDArray[Any]]


def _fill(feed: Feed, numeric: Sequence[str], textual: Sequence[str]) -> Fill:
    """How one tensor is made of the columns it carries."""
    if feed.dtype == "string":
        width = len(textual)
        wanted = [list(textual).index(name) for name in feed.columns]
        if feed.lower:
            return lambda numbers, texts: np.array([text.lower() for text in texts], object).reshape(-1, width)[
                :, wanted
            ]
        if wanted == list(range(width)):
            return lambda numbers, texts: np.array(texts, object).reshape(-1, width)
        return lambda numbers, texts: np.array(texts, object).reshape(-1, width)[:, wanted]
    dtype = _DTYPES[feed.dtype]
    columns = [list(numeric).index(name) for name in feed.columns]
    if columns == list(range(len(numeric))):
        return lambda numbers, texts: numbers.astype(dtype)
    if columns == list(range(columns[0], columns[0] + len(columns))):
        low, high = columns[0], columns[0] + len(columns)
        return lambda numbers, texts: numbers[:, low:high].astype(dtype)
    return lambda numbers, texts: numbers[:, columns].astype(dtype)


def refuse_external_data(artifact: bytes) -> None:
    """Raises NotPermitted when any tensor anywhere (attributes, subgraphs, functions, sparse, training) lies in a file,
    or when the bytes are not a well-formed protobuf message."""
    try:
        _walk(artifact, 0, len(artifact), "model", 0)
    except (IndexError, ValueError):
        raise NotPermitted("the artifact is not an ONNX model", code="BAD_ARTIFACT") from None


def _walk(data: bytes, start: int, end: int, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    inside = _INSIDE[kind]
    for number, wire, low, high, value in _fields(data, start, end, runs=kind == "attribute"):
        if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and value)):
            raise NotPermitted(
                "a tensor of the model lies in another file",
                code="EXTERNAL_DATA",
                hint="save the model with all tensors inside one file",
            )
        target = inside.get(number)
        if target is not None:
            if wire != 2:
                raise ValueError("a message where none belongs")
            _walk(data, low, high, target, depth + 1)


def _fields(data: bytes, at: int, end: int, *, runs: bool) -> Iterator[tuple[int, int, int, int, int]]:
    """(field number, wire type, start, end, value of a varint) of every field between two offsets."""
    while at < end:
        if runs and data[at] in (0x3D, 0x40):
            skipped = _RUNS.match(data, at, end)
            if skipped is None:
                raise ValueError("cut short")
            at = skipped.end()
            continue
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, after = _varint(data, at)
            yield number, wire, at, after, value
        elif wire == 2:
            length, at = _varint(data, at)
            after = at + length
            yield number, wire, at, after, 0
        elif wire in (1, 5):
            after = at + (8 if wire == 1 else 4)
            yield number, wire, at, after, 0
        else:
            raise ValueError("an unknown wire type")
        if after > end:
            raise ValueError("cut short")
        at = after


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number without an end")
