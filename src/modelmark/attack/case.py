"""One input, what may come of it, and how an endpoint is described to those who make some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Refused for what it is. 429: too much at once, which says nothing of the input.
REFUSED: Final = frozenset({400, 404, 405, 408, 411, 413, 414, 415, 421, 422, 429, 431, 501, 505})
#: Read, and taken or refused.
READ: Final = REFUSED | {200}
TAKEN: Final = frozenset({200, 429})


@dataclass(frozen=True, slots=True)
class Case:
    """family: what it tries. sent: the bytes of a whole request, or of as much of one as there is. alone: it spoils its
    connection, so the server must close it or answer once and no more."""

    family: str
    sent: bytes
    allowed: frozenset[int]
    alone: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """inputs: as GET /models/NAME describes them. row: one that is answered. max_rows, max_body: its limits."""

    model: str
    inputs: Sequence[Mapping[str, Any]]
    row: Mapping[str, Any]
    max_rows: int
    max_body: int

    def of_type(self, *kinds: str) -> list[str]:
        return [str(item["name"]) for item in self.inputs if item["type"] in kinds]


def row_for(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A row in the middle of what each input allows."""
    return {str(item["name"]): _middle(item) for item in inputs}


def _middle(item: Mapping[str, Any]) -> Any:
    kind, known = item["type"], item.get("categories")
    if kind in ("category", "string"):
        return known[0] if known else "a"
    if kind == "boolean":
        return True
    if known:
        return int(known[0])
    low, high = item.get("minimum"), item.get("maximum")
    value = (low + high) / 2 if low is not None and high is not None else low if low is not None else high or 0.0
    return round(value) if kind == "integer" else float(value)


def request(path: str, body: bytes, *headers: str, method: str = "POST", kind: str = "application/json") -> bytes:
    """A whole request that keeps its connection."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body
