"""A Triton model repository: one folder a model, a folder a version, and what goes in and comes out as the graph itself says.

Source: Triton's docs/user_guide/model_repository.md and model_configuration.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.version import ARTIFACT, ONNX, ONNX_FILE, Signature, Version

_TYPES: Final = {
    "tensor(float)": "TYPE_FP32", "tensor(double)": "TYPE_FP64", "tensor(int64)": "TYPE_INT64", "tensor(int32)": "TYPE_INT32",
    "tensor(bool)": "TYPE_BOOL", "tensor(string)": "TYPE_STRING",
}  # fmt: skip


def repository(version: Version, contract: Contract, signature: Signature, graph: bytes) -> Mapping[str, bytes]:
    """Files by path. Raises Rejected for a version that is no graph, or whose graph Triton cannot describe."""
    if version.components.flavour not in (ONNX, ONNX_FILE):
        raise Rejected(
            f"{version.model} {version.label} runs as itself, and Triton's ONNX backend runs graphs", code="NOT_A_GRAPH",
            field="--to", limit=f"flavours {ONNX}, {ONNX_FILE}", hint="modelmark export --to image runs any version",
        )  # fmt: skip
    taken, given = _ends(graph)
    lines = [
        f'name: "{version.model}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {contract.serving.max_rows}",
        _tensors("input", taken),
        _tensors("output", given),
        "dynamic_batching { }",
        "",
    ]
    return {
        f"{version.model}/config.pbtxt": "\n".join(lines).encode(),
        f"{version.model}/{version.number}/{ARTIFACT}": graph,
        f"{version.model}/README.md": _about(version, signature).encode(),
    }


def _ends(graph: bytes) -> tuple[list[Any], list[Any]]:
    import onnxruntime as runtime

    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return list(session.get_inputs()), list(session.get_outputs())


def _tensors(kind: str, ends: list[Any]) -> str:
    """Triton's batch dimension is the first one, and is not said again."""
    told = []
    for end in ends:
        if end.type not in _TYPES or not end.shape:
            raise Rejected(
                f"the graph's {kind} {end.name} is {end.type}",
                code="NOT_A_GRAPH",
                field="--to",
                limit=", ".join(_TYPES),
            )
        dims = ", ".join(str(size) if isinstance(size, int) else "-1" for size in end.shape[1:])
        squeezed = "" if end.shape[1:] else " reshape: { shape: [ ] }"
        told.append(f'  {{ name: "{end.name}" data_type: {_TYPES[end.type]} dims: [ {dims or 1} ]{squeezed} }}')
    return f"{kind} [\n" + ",\n".join(told) + "\n]"


def _about(version: Version, signature: Signature) -> str:
    fed = "\n".join(
        f"| {feed.graph_input} | {feed.dtype} | {', '.join(feed.columns)} | {'lower-cased' if feed.lower else ''} |"
        for feed in signature.feeds
    )
    return (
        f"# {version.model} {version.label}\n\n`{version.id}`. Scores come out as `{signature.score_output}`.\n\n"
        f"| input | type | columns, in order | texts |\n|---|---|---|---|\n{fed}\n\n"
        "Triton runs the graph alone: it checks no contract, guards no answer, knows no fallback and keeps no journal, and it does "
        "not look at the mark.\n"
    )
