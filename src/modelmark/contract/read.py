"""Read `modelmark.yaml`: YAML to a `Contract`; every fault names file, line, field, what was found, what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from modelmark.contract import yamltext
from modelmark.contract.rule_violation import RuleViolation
from modelmark.contract.rules import rule_violations
from modelmark.contract.schema_faults import schema_faults
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.contract import Contract
from modelmark.domain.errors import ContractFault, ContractInvalid, Missing

FILE: Final = "modelmark.yaml"
#: So many faults are told at once; whoever has more mends these first.
MAX_FAULTS: Final = 50
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
    with path.open("rb") as file:
        return parse(file.read(yamltext.MAX_BYTES + 1), path)


def name_in(path: Path) -> str | None:
    """The model that a contract names, whatever else stands in it; None without a file or a name.

    Raises ContractInvalid for a file that is no YAML within its budgets.
    """
    try:
        with path.open("rb") as file:
            data = file.read(yamltext.MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    name = _values(data, path)[0].get("name")
    return name if isinstance(name, str) else None


def parse(data: bytes, path: Path) -> Document:
    """The contract in `data`. Raises ContractInvalid: at once for what is no YAML within its budgets (`yamltext`), else
    with the first `MAX_FAULTS` faults."""
    values, root = _values(data, path)
    lines = _Lines(root)
    try:
        contract = adapter().validate_json(json.dumps(_with_codes_as_texts(_with_whole_classes(values))), strict=True)
    except ValidationError as error:
        raise ContractInvalid(_faults(schema_faults(error), path, lines)) from None
    faults = _faults(rule_violations(contract), path, lines)
    if faults:
        raise ContractInvalid(faults)
    return Document(path, contract, lines)


def monitors_in(data: bytes, path: Path, contract: Contract) -> Monitors:
    """What a file says that `monitors` of a contract should be: the settings themselves, or under `monitors:`. Raises
    ContractInvalid as `parse` does, about these settings alone."""
    values, root = _values(data, path)
    whole = set(values) == {"monitors"}
    lines = _Lines(root.inside["monitors"] if whole and isinstance(root.inside, dict) else root)
    try:
        found = _monitors_adapter().validate_json(json.dumps(values["monitors"] if whole else values), strict=True)
    except ValidationError as error:
        raise ContractInvalid(_faults(schema_faults(error), path, lines)) from None
    broken = [rule for rule in rule_violations(replace(contract, monitors=found)) if rule.path[:1] == ("monitors",)]
    if broken:
        raise ContractInvalid(_faults([replace(rule, path=rule.path[1:]) for rule in broken], path, lines))
    return found


def _values(data: bytes, path: Path) -> tuple[dict[str, Any], yamltext.Place]:
    try:
        return yamltext.read(data)
    except yamltext.NotYaml as error:
        raise ContractInvalid((_whole(path, error.line, error.found, error.allowed),)) from None


def _with_whole_classes(values: Any) -> Any:
    """Classes 0.0 and 1.0, as a model with float labels has them, are 0 and 1."""
    outputs = values.get("outputs") if isinstance(values, dict) else None
    if not isinstance(outputs, dict):
        return values
    found = {key: outputs[key] for key in ("classes", "positive") if key in outputs}
    found |= {
        key: list(map(_if_whole, value)) if isinstance(value, list) else _if_whole(value)
        for key, value in found.items()
    }
    return {**values, "outputs": {**outputs, **found}}


def _with_codes_as_texts(values: Any) -> Any:
    """Categories of an integer may be written 0 or "0"."""
    inputs = values.get("inputs") if isinstance(values, dict) else None
    if not isinstance(inputs, list):
        return values
    return {**values, "inputs": [_coded(item) if isinstance(item, dict) else item for item in inputs]}


def _coded(item: dict[str, Any]) -> dict[str, Any]:
    known = item.get("categories")
    if item.get("type") != "integer" or not isinstance(known, list):
        return item
    return {**item, "categories": [str(code) if type(code) is int else code for code in known]}


def _if_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _faults(
    broken: Iterable[RuleViolation], path: Path, line: Callable[[Path_], int | None]
) -> tuple[ContractFault, ...]:
    first = [
        ContractFault(
            file=str(path), line=line(rule.path), field=_short(dotted(rule.path)),
            found=_short(rule.found), allowed=_short(rule.allowed),
        )
        for rule in islice(broken, MAX_FAULTS + 1)
    ]  # fmt: skip
    if len(first) > MAX_FAULTS:
        first[MAX_FAULTS] = _whole(path, None, f"more than {MAX_FAULTS} faults", "none; mend those above first")
    return tuple(first)


def faults_in(
    broken: Iterable[RuleViolation], path: Path, root: yamltext.Place | None, *, line: int | None = None
) -> tuple[ContractFault, ...]:
    """The same for another file of this kind. root: where its values stand. line: of all faults, where there is no root."""
    return _faults(broken, path, (lambda _: line) if root is None else _Lines(root))


def _whole(path: Path, line: int | None, found: str, allowed: str) -> ContractFault:
    return ContractFault(file=str(path), line=line, field=dotted(()), found=_short(found), allowed=allowed)


def _short(text: str, most: int = 300) -> str:
    """Enough to find it by: what was written may be as long as the file."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"


@cache
def _monitors_adapter() -> TypeAdapter[Monitors]:
    return TypeAdapter(Monitors)


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


@dataclass(frozen=True, slots=True)
class _Lines:
    root: yamltext.Place

    def __call__(self, path: Path_) -> int | None:
        """The line of the deepest part of the path that the file holds."""
        place = self.root
        for part in path:
            inside = place.inside
            if isinstance(inside, dict) and str(part) in inside:
                place = inside[str(part)]
            elif isinstance(inside, list) and isinstance(part, int) and part < len(inside):
                place = inside[part]
            else:
                break
        return 1 if place is self.root else place.line
