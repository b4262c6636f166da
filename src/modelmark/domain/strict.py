"""How the contract's dataclasses are read: nothing unknown, nothing infinite."""

from __future__ import annotations

from typing import Any, Final

#: Read by pydantic, which validates these plain dataclasses: an unknown field is an error, docstrings describe fields.
STRICT: Final[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True, "allow_inf_nan": False}

Scalar = str | int | float | bool
