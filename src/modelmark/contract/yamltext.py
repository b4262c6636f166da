"""YAML as a person wrote it: judged event by event against budgets, so that nothing large is built before it is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 150_000
MAX_KEYS: Final = 1_000
MAX_KEY: Final = 255
MAX_TEXT: Final = 20_000
MAX_NUMBER: Final = 64

#: Every cause a text can be refused for: what was found, and what is allowed.
CAUSES: Final[dict[str, tuple[str, str]]] = {
    "bytes": ("a larger file", f"at most {MAX_BYTES:,} bytes"),
    "utf16": ("UTF-16 or UTF-32 text", "UTF-8 text"),
    "utf8": ("bytes that are not UTF-8", "UTF-8 text"),
    "control": ("the control character {}", "text without control characters"),
    "syntax": ("{}", "YAML"),
    "documents": ("a second document", "one document"),
    "fields": ("no fields", "a mapping of fields, as `modelmark init` writes it"),
    "alias": ("an alias (*{})", "values written out"),
    "tag": ("the tag {}", "values without tags"),
    "depth": ("nesting that is too deep", f"at most {MAX_DEPTH} levels"),
    "values": ("too many values", f"at most {MAX_VALUES:,}"),
    "keys": (f"more than {MAX_KEYS:,} keys in one mapping", "fewer"),
    "key": ("a key that is a list or a mapping", "a name as key"),
    "key length": ("a key of {} characters", f"at most {MAX_KEY}"),
    "twice": ("the field {!r} twice", "each field once"),
    "text": ("a text of {} characters", f"at most {MAX_TEXT:,} characters"),
    "number": ("a number of {} characters", f"at most {MAX_NUMBER} characters"),
}
#: YAML 1.2's core types, by how a plain scalar is written: `no` is text, 1e-5 is a number, dates stay text.
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final = {
    "": None, "~": None, "null": None, "true": True, "false": False, ".nan": float("nan"),
    ".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"),
}  # fmt: skip
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WIDE: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
#: libyaml's parser where PyYAML was built with it: twenty times as quick, and the same events.
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class NotYaml(Exception):
    """Refused. cause: a key of `CAUSES`. line: from 1, None where it cannot be said."""

    def __init__(self, cause: str, shown: object = "", line: int | None = None) -> None:
        found, self.allowed = CAUSES[cause]
        self.cause, self.line = cause, line
        self.found = found.format(shown)
        super().__init__(self.found)


@dataclass(slots=True)
class Place:
    """Where a value stands. line: from 1; of a field that of its key. inside: places of its fields or items."""

    line: int
    inside: dict[str, Place] | list[Place] | None = None


def read(data: bytes, *, longest: int = MAX_TEXT) -> tuple[dict[str, Any], Place]:
    """The mapping that a UTF-8 YAML text holds, as plain values, and where each stands. longest: characters of a text.

    Raises NotYaml.
    """
    found = _Builder(longest).build(_events(_text(data)))
    if not isinstance(found[0], dict):
        raise NotYaml("fields", line=1)
    return found


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise NotYaml("bytes")
    if data.startswith(_WIDE) or data[:256].count(0) > len(data[:256]) // 4:
        raise NotYaml("utf16")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotYaml("utf8", line=data[: error.start].count(b"\n") + 1) from None
    if (bad := _CONTROL.search(text)) is not None:
        raise NotYaml("control", f"U+{ord(bad[0]):04X}", text.count("\n", 0, bad.start()) + 1)
    return text


def _events(text: str) -> Iterator[Any]:
    """The parser's events, its faults told in our words."""
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.reader.ReaderError as error:
        raise NotYaml("control", f"U+{int(error.character):04X}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "what cannot be read"
        raise NotYaml("syntax", problem, mark.line + 1 if mark else None) from None
    except (ValueError, OverflowError):  # PyYAML without libyaml: an escape of no character
        raise NotYaml("syntax", "an escape of no character") from None


class _Builder:
    """Plain values from events, without recursion: `open` holds the lists and mappings that have not ended."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.open: list[tuple[Any, Place]] = []
        self.keys: list[tuple[str, int] | None] = []
        self.root: tuple[Any, Place] | None = None
        self.values = 0

    def build(self, events: Iterator[Any]) -> tuple[Any, Place]:
        """Raises NotYaml at the first thing that is not allowed."""
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, _line(event))
            elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                self._start(event, _line(event))
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self.open.pop()
                self.keys.pop()
            elif isinstance(event, yaml.AliasEvent):
                raise NotYaml("alias", (event.anchor or "")[:MAX_KEY], _line(event))
            elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
                raise NotYaml("documents", line=_line(event))
        return self.root or (None, Place(1))

    def _start(self, event: Any, line: int) -> None:
        _require_untagged(event.tag, line)
        if self._wants_key():
            raise NotYaml("key", line=line)
        if len(self.open) >= MAX_DEPTH:
            raise NotYaml("depth", line=line)
        mapping = isinstance(event, yaml.MappingStartEvent)
        value: Any = {} if mapping else []
        place = Place(line, {} if mapping else [])
        self._put(value, place)
        self.open.append((value, place))
        self.keys.append(None)

    def _scalar(self, event: Any, line: int) -> None:
        _require_untagged(event.tag, line)
        text: str = event.value
        if not self._wants_key():
            if len(text) > self.longest:
                raise NotYaml("text", f"{len(text):,}", line)
            self._put(_value(text, line) if event.implicit[0] else _written(text, line), Place(line))
            return
        if len(text) > MAX_KEY:
            raise NotYaml("key length", f"{len(text):,}", line)
        _written(text, line)
        if len(self.open[-1][0]) >= MAX_KEYS:
            raise NotYaml("keys", line=line)
        if text in self.open[-1][0]:
            raise NotYaml("twice", text, line)
        self.keys[-1] = (text, line)

    def _wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1][0], dict) and self.keys[-1] is None

    def _put(self, value: Any, place: Place) -> None:
        self.values += 1
        if self.values > MAX_VALUES:
            raise NotYaml("values", line=place.line)
        if not self.open:
            self.root = (value, place)
            return
        holder, where = self.open[-1]
        if isinstance(holder, list):
            holder.append(value)
            where.inside.append(place)  # type: ignore[union-attr]
            return
        key, line = self.keys[-1] or ("", place.line)
        self.keys[-1] = None
        holder[key] = value
        place.line = line
        where.inside[key] = place  # type: ignore[call-overload, index]


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _require_untagged(tag: str | None, line: int) -> None:
    if tag is not None and tag != "!":
        raise NotYaml("tag", tag[:MAX_KEY], line)


def _value(text: str, line: int) -> Any:
    """What a plain scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] in "+-.0123456789" and _FLOAT.fullmatch(text):
        if len(text) > MAX_NUMBER:
            raise NotYaml("number", f"{len(text):,}", line)
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    return _written(text, line)


def _written(text: str, line: int) -> str:
    """A text that can be stored and shown again."""
    if "\x00" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise NotYaml("control", "NUL" if "\x00" in text else "half of a surrogate pair", line)
    return text
