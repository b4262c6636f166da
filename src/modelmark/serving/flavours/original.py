"""The trained object itself, where no conversion answers as it does. Nothing is opened here: its process does that, in walls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from modelmark.domain.version import Signature
from modelmark.serving.flavours import Runs


class Original:
    """Implements `flavours.FlavourKind`, of a flavour that only its program builds."""

    runs = Runs.PROCESS
    #: The only code that may unpickle lies in the registry, which serving does not import: it is another process's.
    program: Final = "modelmark.registry.original.serving"

    def __init__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> None:
        """Raises TypeError."""
        raise TypeError("a trained object is opened in a process with walls, and nowhere else")

    def run(self, numbers: object, texts: object) -> NoReturn:
        raise NotImplementedError
