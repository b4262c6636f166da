"""What an ONNX graph says of itself, read from its bytes by hand: in the parent, in bounded time and memory.

Nothing is parsed by a native library and nothing is built: a walk over protobuf's wire format that skips weights.
Source: protobuf.dev/programming-guides/encoding and onnx.proto3. What a decision leans on is read here, never
taken from a child.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from modelmark.contract.onnx_graph import BUILT_IN, DOMAINS
from modelmark.domain.errors import Rejected

_FIELDS: Final = 20_000_000  # of the whole file, about ten seconds
_DEPTH: Final = 100  # protobuf's own
_EXTERNAL: Final = 1


@dataclass(slots=True)
class GraphFacts:
    """inputs, outputs: name -> element type of the tensor, 0 for what is no tensor; without those that have a value.

    widths: columns of each input that is a matrix, None where it is none or leaves them open. foreign: (domain, operator)
    of nodes outside the standard. outside: tensors kept in other files. claimed: the most elements any tensor says it has.
    """

    inputs: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, int] = field(default_factory=dict)
    widths: dict[str, int | None] = field(default_factory=dict)
    nodes: int = 0
    foreign: list[tuple[str, str]] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    claimed: int = 0


def read(data: bytes) -> GraphFacts:
    """Raises Rejected (NOT_A_MODEL, CUSTOM_OPERATOR, EXTERNAL_DATA) for a graph that may not run here."""
    try:
        found = _Walk(memoryview(data)).model()
    except (IndexError, ValueError, UnicodeDecodeError, OverflowError):
        raise Rejected("this is not an ONNX model", code="NOT_A_MODEL") from None
    if not found.nodes:
        raise Rejected("the ONNX graph has no nodes", code="NOT_A_MODEL")
    if found.foreign:
        domains = ", ".join(sorted({_shown(domain) for domain, _ in found.foreign})[:5])
        raise Rejected(f"the model uses operators of {domains}", code="CUSTOM_OPERATOR")
    if found.outside:
        raise Rejected(
            f"the tensor {_shown(found.outside[0])} is kept in another file",
            code="EXTERNAL_DATA",
            hint="save the model with its weights inside",
        )
    if found.claimed > 8 * len(data):  # the smallest elements are a quarter of a byte
        raise Rejected(
            f"a tensor claims {found.claimed:,} elements, more than the file's {len(data):,} bytes hold",
            code="NOT_A_MODEL",
        )
    return found


def _shown(text: str) -> str:
    """A text of the file as people may see it: short, and with nothing that a terminal obeys."""
    return ascii(text[:60])


class _Walk:
    def __init__(self, data: memoryview) -> None:
        self.data, self.left = data, _FIELDS
        self.found = GraphFacts()
        self.own: set[tuple[str, str]] = set()
        self.used: set[tuple[str, str]] = set()

    def model(self) -> GraphFacts:
        initialized: set[str] = set()
        for number, value in self.fields(self.data):
            if number == 7:
                self.graph(value, 1, initialized, top=True)
            elif number == 25:
                self.function(value)
            elif number == 20:
                for which, graph in self.fields(value):
                    if which in (1, 2):
                        self.graph(graph, 2, set())
        for name in initialized:
            self.found.inputs.pop(name, None)
            self.found.widths.pop(name, None)
        self.found.foreign = sorted(
            key for key in self.used - self.own if key[0] not in DOMAINS and key not in BUILT_IN
        )
        return self.found

    def graph(self, data: memoryview, depth: int, initialized: set[str], *, top: bool = False) -> None:
        for number, value in self.fields(data):
            if number == 1:
                self.found.nodes += top
                self.node(value, depth)
            elif number == 5:
                initialized.add(self.tensor(value))
            elif number == 15:
                self.sparse(value)
            elif number in (11, 12) and top:
                name, kind, dims = self.value_info(value)
                (self.found.inputs if number == 11 else self.found.outputs)[name] = kind
                if number == 11:
                    self.found.widths[name] = dims[1] if len(dims) == 2 else None

    def function(self, data: memoryview) -> None:
        name = domain = ""
        for number, value in self.fields(data):
            if number == 1:
                name = str(value, "utf-8")
            elif number == 10:
                domain = str(value, "utf-8")
            elif number == 7:
                self.node(value, 1)
            elif number == 11:
                self.attribute(value, 1)
        self.own.add((domain, name))

    def node(self, data: memoryview, depth: int) -> None:
        operator = domain = ""
        for number, value in self.fields(data):
            if number == 4:
                operator = str(value, "utf-8")
            elif number == 7:
                domain = str(value, "utf-8")
            elif number == 5:
                self.attribute(value, depth)
        self.used.add((domain, operator))

    def attribute(self, data: memoryview, depth: int) -> None:
        if depth > _DEPTH:
            raise ValueError("too deep")
        for number, value in self.fields(data):
            if number in (5, 10):
                self.tensor(value)
            elif number in (6, 11):
                self.graph(value, depth + 1, set())
            elif number in (22, 23):
                self.sparse(value)

    def sparse(self, data: memoryview) -> None:
        for number, value in self.fields(data):
            if number in (1, 2):
                self.tensor(value)

    def tensor(self, data: memoryview) -> str:
        """Its name; what it claims and where it lies are noted."""
        name, dims, elsewhere = "", [1], False
        for number, value in self.fields(data, numbers=(1, 14)):
            if number == 1:
                dims += self.packed(value)
            elif number == 8:
                name = str(value, "utf-8")
            elif number == 13 or (number == 14 and _EXTERNAL in self.packed(value)):
                elsewhere = True
        if elsewhere:
            self.found.outside.append(name)
        self.found.claimed = max(self.found.claimed, abs(math.prod(dims)))
        return name

    def value_info(self, data: memoryview) -> tuple[str, int, list[int | None]]:
        """(name, element type, dimensions; None for one that is left open)."""
        name, kind, dims = "", 0, []
        for number, value in self.fields(data):
            if number == 1:
                name = str(value, "utf-8")
            elif number == 2:
                for which, inner in self.fields(value):
                    if which == 1:
                        kind = next((self.packed(v)[-1] for n, v in self.fields(inner, numbers=(1,)) if n == 1), 0)
                        dims = [
                            self.dimension(d)
                            for n, s in self.fields(inner)
                            if n == 2
                            for m, d in self.fields(s)
                            if m == 1
                        ]
        return name, kind, dims

    def dimension(self, data: memoryview) -> int | None:
        found = [self.packed(value)[-1] for number, value in self.fields(data, numbers=(1,)) if number == 1]
        return found[-1] if found and found[-1] > 0 else None

    def packed(self, data: memoryview) -> list[int]:
        """Integers one after the other; a lone one is given as its own bytes."""
        values, at = [], 0
        while at < len(data):
            value, at = self.varint(data, at)
            values.append(value - (1 << 64) if value >> 63 else value)
        return values

    def fields(self, data: memoryview, numbers: tuple[int, ...] = ()) -> Iterator[tuple[int, memoryview]]:
        """(number, content) of every length-delimited field, and of the integers in `numbers` as their own bytes."""
        at, end = 0, len(data)
        while at < end:
            self.left -= 1
            if self.left < 0:
                raise ValueError("too many fields")
            tag, at = self.varint(data, at)
            number, wire = tag >> 3, tag & 7
            start = at
            if wire == 2:
                size, start = self.varint(data, at)
                at = start + size
            elif wire == 0:
                _, at = self.varint(data, at)
            elif wire in (1, 5):
                at += 8 if wire == 1 else 4
            else:
                raise ValueError("no such wire type")
            if at > end or number == 0:
                raise ValueError("cut off")
            if wire == 2 or (wire == 0 and number in numbers):
                yield number, data[start:at]

    @staticmethod
    def varint(data: memoryview, at: int) -> tuple[int, int]:
        value = data[at]
        if value < 0x80:
            return value, at + 1
        value &= 0x7F
        for place in range(1, 10):
            byte = data[at + place]
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return value, at + place + 1
        raise ValueError("a number without an end")
