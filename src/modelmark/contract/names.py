"""What models and their inputs may be called."""

from __future__ import annotations

import re
from typing import Final

from modelmark.domain.errors import Rejected

MODEL_NAME: Final = "1 to 63 lower-case letters, digits and inner hyphens"
#: Longest name of an input, in characters.
MAX_NAME: Final = 255
INPUT_NAME: Final = f"1 to {MAX_NAME} characters without quotation marks, backslashes and control characters"


def names_a_model(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name) is not None


def names_an_input(name: str) -> bool:
    """Whether a request can carry it: the decoder of rows takes no name that JSON has to escape."""
    return 0 < len(name) <= MAX_NAME and not any(mark in '"\\' or ord(mark) < 32 for mark in name)


def name_from(text: str) -> str:
    """A model's name from a folder's, or from one that will not do.

    >>> name_from("My Churn_model")
    'my-churn-model'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "model"


def require_model_name(name: str) -> None:
    """Raises Rejected (BAD_NAME) with a name that will do."""
    if not names_a_model(name):
        raise Rejected(
            f"{name!r} cannot be a model's name", code="BAD_NAME", field="--name", limit=MODEL_NAME,
            hint=f"--name {name_from(name)}",
        )  # fmt: skip


def require_input_name(name: str) -> None:
    """Raises Rejected (BAD_COLUMN_NAME)."""
    if not names_an_input(name):
        raise Rejected(
            f"the column {name[:MAX_NAME]!r} cannot be an input by this name", code="BAD_COLUMN_NAME", field=name[:MAX_NAME],
            limit=INPUT_NAME, hint="rename it in the tables, and fit the model on the renamed column",
        )  # fmt: skip
