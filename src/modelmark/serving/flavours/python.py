"""The author's own code, or a trained object that needs it. Nothing is imported here: its process does that, in walls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from modelmark.domain.version import Signature
from modelmark.serving.flavours import Runs


class Python:
    """Implements `flavours.FlavourKind`, of a flavour that only its program builds."""

    runs = Runs.PROCESS
    #: As of `original`: the only code that may import somebody's is the registry's, in another process.
    program: Final = "modelmark.registry.original.serving"
    unpacked: Final = True

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> None:
        """Raises TypeError."""
        raise TypeError("somebody's code is imported in a process with walls, and nowhere else")

    def run(self, numbers: object, texts: object) -> NoReturn:
        raise NotImplementedError
