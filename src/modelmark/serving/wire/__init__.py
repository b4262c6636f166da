"""One file per protocol over HTTP: bytes to rows, answers and errors to bytes.

All meet in one runtime, so none behaves differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from modelmark.contract.rows import RowCodec, Rows
from modelmark.domain.errors import ModelmarkError
from modelmark.serving import plugins
from modelmark.serving.answers import Answer
from modelmark.serving.models import LiveRoute
from modelmark.serving.runtime import Runtime

#: Lower-case names to values; only those that `Wire.headers` of some protocol, or the transport itself, reads.
Headers = Mapping[bytes, bytes]


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a caller gets. extra: whole header lines."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    extra: bytes = b""


class Later(msgspec.Struct, frozen=True):
    """A reply that takes longer than the answer did. begin: is told where to send it, which may be said in any turn of the event
    loop, once."""

    begin: Callable[[Callable[[Reply], None]], None]


@dataclass(slots=True)
class Parsed:
    """A body read with one version's codec. render: the answer's bytes; it may remember what the caller asked for. event: when
    it happened, as the journal has it, where the body says so."""

    rows: Rows
    entity: str
    render: Callable[[Answer], Reply | Later]
    event: bytes = b""


@dataclass(frozen=True, slots=True)
class Predict:
    """An address that answers predictions. arm: the only one that may answer, None to let the router choose."""

    wire: Wire
    model: str
    arm: int | None = None


@dataclass(frozen=True, slots=True)
class Plain:
    """An address that answers at once, without a model."""

    wire: Wire
    act: Callable[[Runtime, bytes, Headers], Reply]


Endpoint = Predict | Plain


class Wire(Protocol):
    """One protocol. headers: names, lower case, of the request headers it reads."""

    @property
    def headers(self) -> frozenset[bytes]: ...

    def endpoints(self, routes: Mapping[str, LiveRoute]) -> Iterable[tuple[str, str, Endpoint]]:
        """(method, path, what it does) of every address, for the models served now."""
        ...

    def unknown(self, path: str) -> str | None:
        """The name in an address that looks like one of this protocol's models, None when it does not."""
        ...

    def entity(self, body: bytes, headers: Headers) -> str | None:
        """Whom a request is about, read before a version is chosen; None when it does not say or cannot be read."""
        ...

    def parse(self, body: bytes, headers: Headers, codec: RowCodec) -> Parsed:
        """Raises Rejected, or `errors.Heavy` for what must not be read on the loop."""
        ...

    def refusal(self, error: ModelmarkError) -> Reply:
        """The error in this protocol's form, with its status."""
        ...


#: Spelled out, so `grep` finds every protocol. Of two with one address the later has it.
BUILTIN: Final[Mapping[str, str]] = {
    "native": "modelmark.serving.wire.native:Native",
    "explain": "modelmark.serving.wire.explain:Explain",
    "oip": "modelmark.serving.wire.oip:Oip",
    "tfs": "modelmark.serving.wire.tfs:Tfs",
    "kserve": "modelmark.serving.wire.kserve:KServe",
    "mlflow": "modelmark.serving.wire.mlflow:Mlflow",
    "openapi": "modelmark.serving.wire.openapi:OpenApi",
}
#: Entry points of third parties: a name, and a class that is a `Wire`.
GROUP: Final = "modelmark.wire"


def installed(choices: Mapping[str, Mapping[str, Any]] | None = None) -> list[Wire]:
    """Every protocol, ours first, ready to use. choices: what was set for one, by its name.

    Raises Conflict for two of one name, NotYet for one that fails.
    """
    given = choices or {}
    return [plugins.load(name, path)(**given.get(name, {})) for name, path in plugins.listed(GROUP, BUILTIN).items()]
