"""How each kind of model runs. One file per kind, loaded on first use by dotted path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from importlib import import_module
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.version import Signature


class Runs(Enum):
    """Where a flavour's `run` may take its time; `serving.execution` sees to it."""

    LOOP = "on the event loop, always: it is never slow"
    THREAD = "in a thread, always: it lets go of the interpreter, or waits for something"
    BY_COST = "on the loop while its runs take no longer than about 2 ms, else in a thread"


class Flavour(Protocol):
    """A model ready to run. Never changes what it is given. With other than `LOOP`, two threads may run it at a time."""

    @property
    def runs(self) -> Runs: ...

    def run(self, numbers: NDArray[np.float64], texts: Sequence[str]) -> NDArray[np.float64]:
        """numbers: (rows, numeric inputs), NaN for null. texts: row-major, rows x text inputs.

        Returns scores, shape (rows, classes) or (rows, 1). May raise anything; the guard turns that into a fallback.
        """
        ...


class FlavourKind(Protocol):
    """Builds a flavour from bytes whose digest was checked. numeric, textual: input names in contract order."""

    def __call__(
        self, artifact: bytes, signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> Flavour: ...


#: Spelled out, so `grep` finds every flavour; loaded on use, because each may be heavy.
BUILTIN: Final[Mapping[str, str]] = {"onnx": "modelmark.serving.flavours.onnx:Onnx"}


def kind(name: str) -> FlavourKind:
    module, _, attribute = BUILTIN[name].partition(":")
    return cast(FlavourKind, getattr(import_module(module), attribute))
