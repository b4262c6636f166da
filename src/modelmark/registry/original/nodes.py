"""What the converters of our own write: nodes and constants, each under a name that nobody else has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Nodes:
    """scope, container: as skl2onnx hands them to a converter."""

    scope: Any
    container: Any

    def add(self, kind: str, *inputs: str, version: int = 13, **attributes: Any) -> str:
        """The name of its output."""
        name: str = self.scope.get_unique_variable_name(kind.lower())
        self.container.add_node(
            kind, list(inputs), name, name=self.scope.get_unique_operator_name(kind), op_version=version, **attributes
        )
        return name

    def constant(self, kind: int, values: Sequence[Any], shape: Sequence[int] | None = None) -> str:
        """kind: of onnx's TensorProto. shape: a list where nothing is said."""
        name: str = self.scope.get_unique_variable_name("constant")
        self.container.add_initializer(name, kind, list(shape or [len(values)]), list(values))
        return name
