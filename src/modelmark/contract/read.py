"""Read `modelmark.yaml`: YAML to a `Contract`; every fault names file, line, field, what was found, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import TypeAdapter, ValidationError

from modelmark.contract.rule_violation import RuleViolation
from modelmark.contract.rules import rule_violations
from modelmark.contract.schema_faults import schema_faults
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ContractFault, ContractInvalid, Missing

FILE: Final = "modelmark.yaml"
MAX_BYTES: Final = 1_048_576
Path_ = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A contract and where each of its fields stands in the file."""

    path: Path
    contract: Contract
    line: Callable[[Path_], int | None]


def load(path: Path) -> Document:
    """Raises Missing without a file and ContractInvalid with every fault at once."""
    if path.is_dir():
        path = path / FILE
    if not path.exists():
        raise Missing(f"no contract at {path}", code="NO_CONTRACT", hint="write one with: modelmark init MODEL --help")
    return parse(path.read_bytes(), path)


def parse(data: bytes, path: Path) -> Document:
    node = _compose(data, str(path))
    lines = _Lines(node)
    values = _Loader("").construct_document(node)
    try:
        contract = adapter().validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise ContractInvalid(_faults(schema_faults(error), str(path), lines)) from None
    faults = _faults(rule_violations(contract), str(path), lines)
    if faults:
        raise ContractInvalid(faults)
    return Document(path, contract, lines)


def _faults(
    broken: Iterable[RuleViolation], file: str, line: Callable[[Path_], int | None]
) -> tuple[ContractFault, ...]:
    return tuple(
        ContractFault(file=file, line=line(rule.path), field=dotted(rule.path), found=rule.found, allowed=rule.allowed)
        for rule in broken
    )


@cache
def adapter() -> TypeAdapter[Contract]:
    return TypeAdapter(Contract)


def schema() -> dict[str, Any]:
    """The JSON Schema that editors use, draft 2020-12."""
    body = adapter().json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Modelmark contract", **body}


def dotted(path: Path_) -> str:
    """The way people name a field.

    >>> dotted(("inputs", 0, "type"))
    'inputs[0].type'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(the whole file)"


def undotted(field: str) -> Path_:
    """The other way round.

    >>> undotted("people[0].name")
    ('people', 0, 'name')
    """
    return tuple(int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", field))


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core types: `no` is text, 1e-5 is a number, dates stay text."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"~|null|", "~n"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), [*_first])
_Loader.yaml_implicit_resolvers.setdefault("", []).append(("tag:yaml.org,2002:null", re.compile(r"^$")))


def _compose(data: bytes, file: str) -> yaml.Node:
    def fail(line: int | None, found: str, allowed: str) -> ContractInvalid:
        return ContractInvalid((ContractFault(file=file, line=line, field=dotted(()), found=found, allowed=allowed),))

    if len(data) > MAX_BYTES:
        raise fail(None, f"{len(data)} bytes", f"at most {MAX_BYTES}")
    try:
        text = data.decode()
        for event in yaml.parse(text, Loader=_Loader):
            if isinstance(event, yaml.AliasEvent):
                raise fail(_row(event.start_mark), f"an alias (*{event.anchor})", "values written out")
        node = yaml.compose(text, Loader=_Loader)
    except UnicodeDecodeError as error:
        raise fail(data[: error.start].count(b"\n") + 1, "bytes that are not UTF-8", "UTF-8 text") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "nesting that is too deep"
        raise fail(mark.line + 1 if mark else None, str(problem), "YAML") from None
    if not isinstance(node, yaml.MappingNode):
        raise fail(1, "no fields", "a mapping of fields, as `modelmark init` writes it")
    for twin in _duplicate_keys(node):
        raise fail(_row(twin.start_mark), f"the field {twin.value!r} twice", "each field once")
    return node


def _row(mark: Any) -> int:
    return int(mark.line) + 1


def _duplicate_keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield key
            seen.add(key.value)
            yield from _duplicate_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicate_keys(item)


@dataclass(frozen=True, slots=True)
class _Lines:
    root: yaml.Node

    def __call__(self, path: Path_) -> int | None:
        """The line of the deepest part of the path that the file holds."""
        node, line = self.root, 0
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = [(key, value) for key, value in node.value if key.value == str(part)]
                if not found:
                    break
                line, node = found[0][0].start_mark.line, found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return int(line) + 1
