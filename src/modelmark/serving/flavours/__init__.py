"""How each kind of model runs. One file per kind, loaded on first use by dotted path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from modelmark.domain.errors import Missing
from modelmark.domain.version import Signature
from modelmark.serving import plugins


class Runs(Enum):
    """Where a flavour's `run` may take its time; `serving.execution` sees to it."""

    LOOP = "on the event loop, always: it is never slow"
    THREAD = "in a thread, always: it lets go of the interpreter, or waits for something"
    BY_COST = "on the loop while its runs take no longer than about 2 ms, else in a thread"
    REMOTE = "over the network: it waits for somebody else's server, so many runs may be under way at a time"
    PROCESS = "in a process of its own: it needs Python code that may leak, crash or hold the interpreter"


class Flavour(Protocol):
    """A model ready to run. Never changes what it is given. With other than `LOOP`, several threads may run it at a time."""

    @property
    def runs(self) -> Runs: ...

    def run(self, numbers: NDArray[np.float64], texts: Sequence[str]) -> NDArray[np.float64]:
        """numbers: (rows, numeric inputs), NaN for null. texts: row-major, rows x text inputs.

        Returns scores, shape (rows, classes) or (rows, 1). May raise anything; the guard turns that into a fallback.
        """
        ...


@dataclass(frozen=True, slots=True)
class Model:
    """What a flavour is made of: bytes whose digests were checked. files: by path, the main one first."""

    flavour: str
    files: Mapping[str, bytes]
    signature: Signature


class FlavourKind(Protocol):
    """Builds a flavour from bytes whose digests were checked. May raise anything: then the version never serves.

    runs is read before anything is built: a flavour that runs in a process of its own is only ever built there. Such a one
    may name a `program`, the module that is that process and builds it behind walls of its own [default:
    `serving.isolated`], and say `unpacked`: the program finds the files in a folder of its own instead of the first frame.
    files: the model's, by path, the main one first. numeric, textual: input names in contract order.
    """

    @property
    def runs(self) -> Runs: ...

    def __call__(
        self, files: Mapping[str, bytes], signature: Signature, *, numeric: Sequence[str], textual: Sequence[str]
    ) -> Flavour: ...


#: Spelled out, so `grep` finds every flavour; loaded on use, because each may be heavy.
BUILTIN: Final[Mapping[str, str]] = {
    "onnx": "modelmark.serving.flavours.onnx:Onnx",
    "onnx_file": "modelmark.serving.flavours.onnx_file:OnnxFile",
    "original": "modelmark.serving.flavours.original:Original",
    "python": "modelmark.serving.flavours.python:Python",
    "upstream": "modelmark.serving.flavours.upstream:UpstreamModel",
}
#: Entry points of third parties: the flavour's name in a version, and what makes it, a `FlavourKind`.
GROUP: Final = "modelmark.flavours"


def kind(name: str) -> FlavourKind:
    """Raises Missing for a flavour that nobody here provides, and as `plugins.load` does."""
    known = plugins.listed(GROUP, BUILTIN)
    if name not in known:
        raise Missing(
            f"no flavour {name!r} is installed",
            code="UNKNOWN_FLAVOUR",
            field="flavour",
            limit=", ".join(sorted(known)),
            hint="install the package that provides it",
        )
    return cast(FlavourKind, plugins.load(name, known[name]))


def main_file(files: Mapping[str, bytes]) -> bytes:
    """Of a model that is one file: its bytes."""
    return next(iter(files.values()))
