"""The folder in which MLflow keeps a model: its MLmodel says which file of it holds the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from modelmark.contract import yamltext
from modelmark.domain.errors import Malformed, Rejected

DESCRIPTION: Final = "MLmodel"
#: (flavour, what names its file, whether that is an ONNX graph).
_FILES: Final = (
    ("onnx", "data", True),
    ("sklearn", "pickled_model", False),
    ("xgboost", "data", False),
    ("lightgbm", "data", False),
    ("catboost", "data", False),
)


def model_file(folder: Path, address: str) -> tuple[Path, bool]:
    """The one file that holds the model, and whether it is an ONNX graph. address: what people call the folder.

    Raises Malformed (NOT_A_MODEL) for a folder that is no model's, Rejected (UNKNOWN_FLAVOUR) for another kind of model.
    """
    flavors = _flavors(folder, address)
    for flavor, key, is_graph in _FILES:
        said = flavors.get(flavor)
        inside = said.get(key) if isinstance(said, dict) else None
        if isinstance(inside, str) and inside:
            path = (folder / inside).resolve()
            if not path.is_relative_to(folder.resolve()) or not path.is_file():
                raise Malformed(f"{address} names the model file {inside!r}, which is not in it", code="NOT_A_MODEL")
            return path, is_graph
    raise Rejected(
        f"{address} holds the flavours {', '.join(sorted(flavors))}, of which none can be registered",
        code="UNKNOWN_FLAVOUR",
        limit=", ".join(flavor for flavor, _, _ in _FILES),
        hint="export the model to ONNX and log it with mlflow.onnx, or give the ONNX file",
    )


def _flavors(folder: Path, address: str) -> dict[str, Any]:
    """What the folder's MLmodel says of each flavour. Raises Malformed."""
    if not (folder / DESCRIPTION).is_file():
        raise Malformed(
            f"{address} is a folder without {DESCRIPTION}, so it is no MLflow model", code="NOT_A_MODEL",
            hint="name the model's file, or the folder that MLflow saved it in",
        )  # fmt: skip
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            described, _ = yamltext.read(file.read(yamltext.MAX_BYTES + 1), longest=yamltext.MAX_BYTES)
    except (OSError, yamltext.NotYaml) as error:
        why = error if isinstance(error, yamltext.NotYaml) else type(error).__name__
        raise Malformed(f"{address} is no MLflow model: {why}", code="NOT_A_MODEL") from None
    flavors = described.get("flavors")
    if not isinstance(flavors, dict):
        raise Malformed(f"{address} is no MLflow model: no flavors", code="NOT_A_MODEL")
    return flavors
