"""How the contract's dataclasses are made and read: nothing unknown, nothing infinite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar, dataclass_transform

from modelmark.domain.later import later

T = TypeVar("T")

#: Read by pydantic, which validates these plain dataclasses: an unknown field is an error, docstrings describe fields.
_STRICT: Final[dict[str, Any]] = {"extra": "forbid", "use_attribute_docstrings": True, "allow_inf_nan": False}

Scalar = str | int | float | bool


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field, later))
def part(cls: type[T]) -> type[T]:
    """A part of the contract: a frozen, slotted, keyword-only dataclass whose fields' docstrings are published."""
    cls.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]
    return dataclass(frozen=True, slots=True, kw_only=True)(cls)
