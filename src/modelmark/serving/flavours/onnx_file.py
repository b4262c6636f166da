"""A plain ONNX file, served as it is: the bytes somebody exported are the artifact, and no converter touched them.

How its tensors are filled is read from the graph itself: one matrix of all inputs, by its width, or one tensor for each
input, by its name. Its output is the one the signature names, with a column for each class of the contract, or one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelmark.domain.errors import NotPermitted
from modelmark.domain.version import Dtype, Feed, Signature
from modelmark.serving.flavours import Runs, main_file
from modelmark.serving.onnx_graph import open_graph, runner

_DTYPES: Final[Mapping[str, Dtype]] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
    "tensor(string)": "string",
}


class OnnxFile:
    """Implements `flavours.Flavour`."""

    runs = Runs.BY_COST

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> None:
        """Raises NotPermitted when the graph's inputs are not the contract's."""
        session = open_graph(main_file(files))
        feeds = match(session.get_inputs(), numeric=numeric, textual=textual)
        self.run = runner(session, feeds, signature.score_output, numeric=numeric, textual=textual)


def match(inputs: Sequence[Any], *, numeric: Sequence[str], textual: Sequence[str]) -> tuple[Feed, ...]:
    """Which columns fill each of a graph's inputs (with name, shape and type, as ONNX Runtime tells them)."""
    columns = (*numeric, *textual)
    if len(inputs) == 1 and len(columns) > 1:
        (matrix,) = inputs
        if _width(matrix) not in (None, len(columns)) or (numeric and textual):
            raise _differ(f"one tensor of width {_width(matrix)}", columns)
        return (Feed(graph_input=matrix.name, columns=columns, dtype=_dtype(matrix, textual=bool(textual))),)
    known = {_plain(name): name for name in columns}
    if sorted(map(_plain, (item.name for item in inputs))) != sorted(known):
        raise _differ(", ".join(item.name for item in inputs), columns)
    found = ((item, known[_plain(item.name)]) for item in inputs)
    return tuple(
        Feed(graph_input=item.name, columns=(name,), dtype=_dtype(item, textual=name in textual))
        for item, name in found
    )


def _width(item: Any) -> int | None:
    """Columns of an input of shape (rows, columns); None where the graph leaves them open."""
    last = item.shape[-1] if len(item.shape) == 2 else None
    return last if isinstance(last, int) else None


def _dtype(item: Any, *, textual: bool) -> Dtype:
    found = _DTYPES.get(item.type)
    if found is None or (found == "string") is not textual:
        raise NotPermitted(f"the graph takes {item.name} as {item.type}", code="COLUMNS_DIFFER", field=item.name)
    return found


def _differ(have: str, wanted: Sequence[str]) -> NotPermitted:
    return NotPermitted(
        f"the graph takes {have}; the contract lists {', '.join(wanted)}", code="COLUMNS_DIFFER", field="inputs"
    )


def _plain(name: str) -> str:
    """Exporters write `_` for what a tensor's name may not hold."""
    return "".join(c if c.isalnum() else "_" for c in name)
