"""Ask a model what it was fitted on, in the sandbox, so that a draft contract starts from the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modelmark.contract.infer import Facts
from modelmark.domain.errors import Missing
from modelmark.registry import sandbox


def inspect(source: Path, limits: sandbox.Limits | None = None) -> Facts:
    """What the model says of itself; an ONNX graph says nothing of columns. Raises as `sandbox.run` does."""
    if not source.is_file():
        raise Missing(f"there is no model file {source}", code="NO_MODEL", field="MODEL")
    if source.suffix.lower() == ".onnx":
        return Facts(estimator="ONNX")
    with sandbox.run("inspect", {}, {"source.bin": source}, limits or sandbox.Limits()) as answer:
        facts = answer.facts
        return Facts(
            estimator=str(facts["estimator"]),
            features=_texts(facts.get("features")),
            classes=_classes(facts.get("classes")),
        )


def _texts(found: Any) -> tuple[str, ...] | None:
    return tuple(map(str, found)) if isinstance(found, list) else None


def _classes(found: Any) -> tuple[bool | int | str, ...] | None:
    """None for what is not a flat list of classes, such as the classes of a multi-output model."""
    if not isinstance(found, list):
        return None
    whole = [int(c) if isinstance(c, float) and c.is_integer() else c for c in found]
    return tuple(whole) if all(isinstance(c, bool | int | str) for c in whole) else None
