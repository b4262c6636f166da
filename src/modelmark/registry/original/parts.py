"""The steps that a model is made of, outermost first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def walk(model: Any) -> Iterator[Any]:
    """The model itself, and every step of its pipelines, column transformers and unions."""
    yield model
    for _, step in getattr(model, "steps", ()):
        yield from walk(step)
    for _, step, *_ in getattr(model, "transformers_", ()):
        if hasattr(step, "get_params"):
            yield from walk(step)
    for _, step in getattr(model, "transformer_list", ()):
        yield from walk(step)
