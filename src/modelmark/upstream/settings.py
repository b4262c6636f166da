"""The small file that names a model on another server. No secret is in it: it is part of the version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from modelmark.contract import yamltext
from modelmark.domain.errors import Malformed

_MOST_SECONDS: Final = 60


class Protocol(StrEnum):
    """What the server speaks."""

    V2 = "v2"
    TENSORFLOW_SERVING = "tensorflow_serving"
    MLFLOW = "mlflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """url: of the server, with the path in front of the protocol's own, if any. model: its name there; MLflow's server has
    one. version: empty for whichever serves, which is pinned by its answers. timeout_ms: for one request, all in all.
    input: the tensor that takes all columns as a matrix, where the server says nothing of what it takes. output: the tensor with
    the scores, where there are several; a v2 server is asked for it by name. token: the name of an environment variable that
    holds a bearer token. params: of MLflow, sent along."""

    protocol: Protocol
    url: str
    model: str = ""
    version: str = ""
    timeout_ms: int = 300
    input: str = ""
    output: str = ""
    token: str = ""
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises Malformed (BAD_UPSTREAM)."""
        try:
            found, _ = urlsplit(self.url), urlsplit(self.url).port
        except ValueError:
            raise _bad("url", "no address of a server") from None
        if found.scheme not in ("http", "https") or not found.hostname:
            raise _bad("url", "no address of a server", limit="http://HOST:PORT or https://HOST:PORT")
        if "@" in found.netloc or found.query or found.fragment:
            raise _bad("url", "more than an address", hint="name an environment variable with a token in `token`")
        if not self.url.isascii() or any(c.isspace() for c in self.url):
            raise _bad("url", "no address of a server")
        if not self.model and self.protocol is not Protocol.MLFLOW:
            raise _bad("model", "empty")
        if self.protocol is Protocol.TENSORFLOW_SERVING and self.version and not self.version.isdigit():
            raise _bad("version", "no number", limit="TensorFlow Serving counts versions")
        if not 1 <= self.timeout_ms <= 1000 * _MOST_SECONDS:
            raise _bad("timeout_ms", "out of range", limit=f"1 to {1000 * _MOST_SECONDS:,}")
        if self.token and not self.token.isidentifier():
            raise _bad("token", "no name of an environment variable", hint="write the token itself nowhere")


_TYPES: Final = {"timeout_ms": int, "params": dict}


def names_upstream(data: bytes) -> bool:
    """Whether a file is meant to be one: a mapping that names a protocol and an address."""
    try:
        found, _ = yamltext.read(data)
    except yamltext.NotYaml:
        return False
    return {"protocol", "url"} <= found.keys()


def read(data: bytes) -> Settings:
    """Raises Malformed (BAD_UPSTREAM), naming the field."""
    try:
        found, _ = yamltext.read(data)
    except yamltext.NotYaml as error:
        raise _bad("", str(error)) from None
    known = [item.name for item in fields(Settings)]
    for name, value in found.items():
        if name not in known:
            raise _bad(name, "unknown", limit=", ".join(known))
        if not isinstance(value, _TYPES.get(name, str)) or isinstance(value, bool):
            raise _bad(name, f"no {_TYPES.get(name, str).__name__}", hint="write a number that is a text in quotes")
    for name in ("protocol", "url"):
        if name not in found:
            raise _bad(name, "missing")
    if found["protocol"] not in set(Protocol):
        raise _bad("protocol", "unknown", limit=", ".join(Protocol))
    return _of(found)


def _of(found: Mapping[str, Any]) -> Settings:
    params = found.get("params", {})
    if not all(isinstance(value, (str, int, float, bool)) for value in params.values()):
        raise _bad("params", "deeper than one level", limit="texts and numbers by name")
    return Settings(**{**found, "protocol": Protocol(found["protocol"])})


def _bad(name: str, what: str, *, limit: str | None = None, hint: str | None = None) -> Malformed:
    said = f"{name} is {what}" if name else what
    return Malformed(
        f"the file that names an upstream cannot be used: {said}", code="BAD_UPSTREAM", field=name or None, limit=limit,
        hint=hint or "see docs/flavours/upstream.md",
    )  # fmt: skip
