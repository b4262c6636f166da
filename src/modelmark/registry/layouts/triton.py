"""A Triton model repository: a folder a model with its config.pbtxt, a folder a version with the model's file.

Source: Triton's docs/user_guide/model_repository.md and model_configuration.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from modelmark.registry.layouts import layout
from modelmark.registry.layouts.layout import Found, Kind

CONFIG: Final = "config.pbtxt"
GRAPH: Final = "model.onnx"
#: Both names that Triton gives what runs ONNX; a configuration may leave them out where the file says it.
_ONNX: Final = frozenset({"onnxruntime", "onnxruntime_onnx", ""})
_COMMENT: Final = re.compile(r"#[^\n]*")


def holds(folder: Path) -> bool:
    """Whether it is one model's folder."""
    version = layout.newest(folder)
    return (folder / CONFIG).is_file() or (version is not None and (version / GRAPH).exists())


def read(folder: Path) -> Found:
    """The highest version, as Triton serves by default. Raises Malformed, and Rejected for what is no graph."""
    config = folder / CONFIG
    said = layout.text_of(config) if config.is_file() else ""
    runs = _field(said, "backend") or _field(said, "platform")
    if runs not in _ONNX:
        raise layout.unknown(
            f"{config} says that {runs!a} runs the model", "onnxruntime",
            "give the object or the file that it was made from to modelmark init",
        )  # fmt: skip
    version = layout.newest(folder)
    name = _field(said, "default_model_filename") or GRAPH
    place = (version or folder / "1") / name
    file = layout.inside(folder, place, config if said else folder)
    return Found(
        kind=Kind.TRITON, file=file, name=_field(said, "name") or folder.name, version=version.name if version else ""
    )


def _field(said: str, name: str) -> str:
    """A text at the configuration's top level: what stands in braces or brackets speaks of tensors and instances."""
    flat, depth = [], 0
    for piece in re.split(r"([\[\]{}])", _COMMENT.sub("", said)):
        if piece in "[{" and piece:
            depth += 1
        elif piece in "]}" and piece:
            depth -= 1
        elif depth == 0:
            flat.append(piece)
    found = re.search(rf"(?:^|[\s,;]){name}\s*:\s*[\"']([^\"']*)[\"']", " ".join(flat))
    return found.group(1) if found else ""
