"""A pickle read without being opened: its operations in order, joblib's raw arrays skipped, the names it would import.

Scanners parse pickles as one stream of operations. joblib writes array bytes between them, where a scanner loses its
way and sees nothing of what follows; so each stream is given to them with the arrays cut out. Nothing here executes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Final

from modelmark.domain.errors import Rejected

_DEPTH: Final = 20  # nested pickles
_WRAPPER: Final = "NumpyArrayWrapper"
_MARK: Final = object()
#: What is written for a scanner in place of a byte array's operation, which fickling does not know: that of bytes as long.
_BYTES: Final = b"\x8e"  # BINBYTES8


@dataclass(frozen=True, slots=True)
class Name:
    """A global the pickle would import."""

    module: str
    name: str


@dataclass(slots=True)
class _Thing:
    """An object that would be built: by what, and the state it would be given."""

    kind: Any
    arguments: Any
    state: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """streams: each pickle of the file with its raw arrays cut out. names: every import, in order of appearance."""

    streams: tuple[bytes, ...]
    names: tuple[Name, ...]


def read(data: bytes) -> Read:
    """Raises Rejected (NOT_A_PICKLE) where the operations cannot be followed, are cut off, or something comes after."""
    file = BytesIO(data)
    streams: list[bytes] = []
    names: list[Name] = []
    try:
        _stream(file, memoryview(data), streams, names, 0)
    except Rejected:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file makes our reading stumble over is its fault
        raise Rejected(f"the pickle cannot be followed: {error}", code="NOT_A_PICKLE") from None
    rest = len(data) - file.tell()
    if rest:
        raise Rejected(f"{rest:,} bytes follow the end of the pickle", code="NOT_A_PICKLE")
    return Read(tuple(streams), tuple(dict.fromkeys(names)))


def _stream(file: BytesIO, data: memoryview, streams: list[bytes], names: list[Name], depth: int) -> None:
    """One pickle to its STOP; the file stands behind it then."""
    if depth > _DEPTH:
        raise Rejected("pickles are nested too deep", code="NOT_A_PICKLE")
    machine, kept, started = _Machine(names), bytearray(), file.tell()
    for operation, argument, _ in pickletools.genops(file):
        kept += _BYTES if operation.name == "BYTEARRAY8" else data[started : started + 1]
        kept += data[started + 1 : file.tell()]
        machine.step(operation.name, argument)
        if operation.name == "BUILD" and _is_wrapper(machine.top()):
            _skip_array(file, data, machine.top(), streams, names, depth)
        started = file.tell()
    streams.append(bytes(kept))


def _is_wrapper(thing: Any) -> bool:
    return isinstance(thing, _Thing) and isinstance(thing.kind, Name) and thing.kind.name == _WRAPPER


def _skip_array(
    file: BytesIO, data: memoryview, wrapper: _Thing, streams: list[bytes], names: list[Name], depth: int
) -> None:
    """As joblib reads it: a nested pickle for objects, else an alignment byte, padding, and the raw items."""
    import numpy as np

    code = wrapper.state["dtype"].arguments[0]
    kind = np.dtype(code)
    if kind.hasobject:
        _stream(file, data, streams, names, depth + 1)
        return
    if wrapper.state.get("numpy_array_alignment_bytes") is not None:
        file.seek(file.read(1)[0], 1)
    items = 1
    for size in wrapper.state["shape"]:
        items *= int(size)
    end = file.tell() + items * kind.itemsize
    if items < 0 or end > len(data):
        raise Rejected("an array is longer than the file", code="NOT_A_PICKLE")
    file.seek(end)


class _Machine:
    """The stack and memo of an unpickler, holding descriptions instead of objects."""

    def __init__(self, names: list[Name]) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names = names

    def top(self) -> Any:
        return self.stack[-1] if self.stack else None

    def step(self, code: str, argument: Any) -> None:
        if code in ("GLOBAL", "INST"):
            self._global(code, argument)
        elif code == "STACK_GLOBAL":
            name, module = self.stack.pop(), self.stack.pop()
            self._named(str(module), str(name))
        elif code in _CONSTANT:
            self.stack.append(_CONSTANT[code])
        elif code in _VALUE:
            self.stack.append(argument)
        elif code in _KEEP or code in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if argument is None else argument] = self.top()
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif code == "BUILD":
            self._build()
        else:
            self._compose(code)

    def _global(self, code: str, argument: str) -> None:
        module, _, name = argument.partition(" ")
        arguments = self._to_mark() if code == "INST" else None
        self._named(module, name)
        if arguments is not None:
            self.stack.append(_Thing(self.stack.pop(), tuple(arguments)))

    def _named(self, module: str, name: str) -> None:
        self.names.append(Name(module, name))
        self.stack.append(Name(module, name))

    def _to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _build(self) -> None:
        state = self.stack.pop()
        thing = self.top()
        if isinstance(thing, _Thing) and isinstance(state, dict):
            thing.state.update(state)

    def _compose(self, code: str) -> None:
        """Containers and calls. A code that is not known pushes nothing: its stack effect is then wrong, and refused."""
        if code in ("TUPLE", "LIST", "DICT", "FROZENSET"):
            items = self._to_mark()
            made = dict(zip(items[::2], items[1::2], strict=True)) if code == "DICT" and _plain(items) else items
            self.stack.append(tuple(items) if code == "TUPLE" else made)
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(code[-1])
            items = self.stack[-size:]
            del self.stack[-size:]
            self.stack.append(tuple(items))
        elif code in ("EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "EMPTY_TUPLE"):
            self.stack.append({"EMPTY_LIST": [], "EMPTY_DICT": {}, "EMPTY_SET": [], "EMPTY_TUPLE": ()}[code])
        elif code in ("APPENDS", "ADDITEMS", "SETITEMS"):
            self._add(self._to_mark(), code == "SETITEMS")
        elif code in ("APPEND", "SETITEM"):
            size = 1 if code == "APPEND" else 2
            items = self.stack[-size:]
            del self.stack[-size:]
            self._add(items, code == "SETITEM")
        elif code in ("REDUCE", "NEWOBJ", "NEWOBJ_EX", "OBJ"):
            self._call(code)
        elif code in _STACK:
            _STACK[code](self.stack)
        elif code not in _NOTHING:
            raise Rejected(f"the pickle uses the operation {code}, which no model needs", code="NOT_A_PICKLE")

    def _add(self, items: list[Any], pairs: bool) -> None:
        into = self.top()
        if pairs and isinstance(into, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                if isinstance(key, (str, int, float, bool, bytes, type(None))):
                    into[key] = value

    def _call(self, code: str) -> None:
        if code == "OBJ":
            kind, *rest = self._to_mark()
            self.stack.append(_Thing(kind, tuple(rest)))
            return
        if code == "NEWOBJ_EX":
            self.stack.pop()
        arguments, kind = self.stack.pop(), self.stack.pop()
        self.stack.append(_Thing(kind, arguments))


def _plain(items: list[Any]) -> bool:
    return all(isinstance(key, (str, int, float, bool, bytes, type(None))) for key in items[::2])


_CONSTANT: Final[dict[str, Any]] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "MARK": _MARK}
_TEXT: Final = (
    "INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE "
    "SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
)
_VALUE: Final = frozenset(_TEXT.split())
_KEEP: Final = frozenset({"MEMOIZE"})
_NOTHING: Final = frozenset({"PROTO", "FRAME", "STOP"})
#: Out-of-band buffers, persistent ids and extension codes are left out on purpose: no model file needs them.
_STACK: Final[dict[str, Any]] = {
    "POP": lambda stack: stack.pop(),
    "DUP": lambda stack: stack.append(stack[-1]),
    "POP_MARK": lambda stack: stack.__delitem__(slice(len(stack) - 1 - stack[::-1].index(_MARK), None)),
}


def families(names: tuple[Name, ...]) -> Iterator[tuple[str, int]]:
    """(top-level module, how many names of it), most first."""
    counts: dict[str, int] = {}
    for name in names:
        top = name.module.partition(".")[0]
        counts[top] = counts.get(top, 0) + 1
    yield from sorted(counts.items(), key=lambda item: (-item[1], item[0]))
