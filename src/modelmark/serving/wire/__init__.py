"""One file per protocol: bytes to rows, answers to bytes. All meet in one runtime, so none behaves differently."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Protocol, cast

from modelmark.contract.rows import RowCodec, Rows
from modelmark.serving.answers import Answer, Framed
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime


@dataclass(slots=True)
class Parsed:
    """A body read with one version's codec. render: the answer's bytes; it may remember what the caller asked for."""

    rows: Rows
    entity: str
    render: Callable[[Answer], bytes | Framed]


@dataclass(frozen=True, slots=True)
class Predict:
    """An address that answers predictions. arm: the only one that may answer, None to let the router choose.

    framed: the protocol for bodies whose first so many bytes are JSON and the rest is not; None where there is none.
    """

    model: str
    wire: Wire
    arm: int | None = None
    framed: Callable[[int], Wire] | None = None


#: Answers at once: the JSON value to send, given runtime and body.
Plain = Callable[[Runtime, bytes], tuple[int, Any]]
Endpoint = Predict | Plain


class Wire(Protocol):
    """One protocol."""

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        """(method, path, what it does) of every address, for the models served now."""
        ...

    def unknown(self, path: str) -> str | None:
        """The name in an address that looks like one of this protocol's models, None when it does not."""
        ...

    def entity(self, body: bytes) -> str | None:
        """Whom a request is about, read before a version is chosen; None when it does not say or cannot be read."""
        ...

    def parse(self, body: bytes, codec: RowCodec) -> Parsed:
        """Raises Rejected."""
        ...


#: Spelled out, so `grep` finds every protocol.
BUILTIN: Final[Mapping[str, str]] = {
    "native": "modelmark.serving.wire.native:Native",
    "oip": "modelmark.serving.wire.oip:Oip",
}


def builtin() -> list[Wire]:
    """Every protocol, ready to use."""
    found: list[Wire] = []
    for path in BUILTIN.values():
        module, _, attribute = path.partition(":")
        found.append(cast(Wire, getattr(import_module(module), attribute)()))
    return found
