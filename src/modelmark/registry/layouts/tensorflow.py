"""TensorFlow Serving's layout: a folder a version, named by a number, with a SavedModel.

A SavedModel runs only in TensorFlow; an ONNX export beside it is what can be registered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modelmark.domain.errors import Rejected
from modelmark.registry.layouts import layout
from modelmark.registry.layouts.layout import Found, Kind

SAVED: Final = ("saved_model.pb", "saved_model.pbtxt")


def holds(folder: Path) -> bool:
    return any((place / name).is_file() for place in (folder, layout.newest(folder) or folder) for name in SAVED)


def read(folder: Path) -> Found:
    """The highest version, as TensorFlow Serving serves by default. Raises Rejected where there is a SavedModel alone."""
    version = layout.newest(folder)
    place = version or folder
    graphs = sorted(path for path in place.iterdir() if path.suffix.lower() == ".onnx")
    if len(graphs) != 1:
        raise Rejected(
            f"{place} holds a TensorFlow SavedModel, which runs in TensorFlow alone"
            + (", and several graphs beside it" if graphs else ""),
            code="UNKNOWN_FLAVOUR",
            limit=f"one ONNX export in {place}",
            hint="export it there (keras: model.export('model.onnx', format='onnx'); else python -m tf2onnx.convert "
            f"--saved-model {place} --output {place}/model.onnx), or guard it where it is: {layout.ELSEWHERE}",
        )
    return Found(
        kind=Kind.TENSORFLOW_SERVING,
        file=layout.inside(folder, graphs[0], place),
        name=folder.name if version else folder.parent.name,
        version=place.name if place.name.isdigit() else "",
    )
