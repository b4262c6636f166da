"""Settings of gates and monitors that other packages bring: the contract holds plain values, the row says what they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from modelmark.contract.catalogue import gate_row, monitor_row
from modelmark.contract.ranges import broken_ranges
from modelmark.contract.rule_violation import RuleViolation
from modelmark.contract.schema_faults import schema_faults
from modelmark.domain.catalogue.rows import GateRow, MonitorRow
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Rejected
from modelmark.domain.strict import Scalar

Path_ = tuple[str, ...]


def broken_plugins(contract: Contract) -> Iterator[RuleViolation]:
    """What is wrong with the settings of every plugin that is installed here; of one that is not, nobody can say."""
    for name, values in contract.gates.plugins.items():
        if (gate := gate_row(name)) is not None:
            yield from _broken(gate, ("gates", "plugins", name), values)
    for name, values in contract.monitors.plugins.items():
        if (monitor := monitor_row(name)) is not None:
            yield from _broken(monitor, ("monitors", "plugins", name), values)


def settings_of(row: GateRow | MonitorRow, values: Mapping[str, Scalar]) -> Any:
    """The row's settings as a contract gives them. Raises Rejected for the first that does not fit."""
    for fault in _broken(row, (), values):
        raise Rejected(
            f"{row.name} cannot be set so: {fault.found}",
            code="BAD_SETTINGS",
            field=".".join(map(str, (row.name, *fault.path))),
            limit=fault.allowed,
        )
    return _read(row, values)


def _broken(row: GateRow | MonitorRow, path: Path_, values: Mapping[str, Scalar]) -> Iterator[RuleViolation]:
    known = [field.name for field in fields(row.settings)]
    unknown = [name for name in values if name not in known]
    for name in unknown:
        yield RuleViolation((*path, name), f"the unknown field {name!r}", ", ".join(known) or "no settings")
    if unknown:
        return
    try:
        settings = _read(row, values)
    except ValidationError as error:
        for fault in schema_faults(error):
            yield RuleViolation((*path, *fault.path), fault.found, fault.allowed)
        return
    yield from broken_ranges(settings, row.ranges, path)


def _read(row: GateRow | MonitorRow, values: Mapping[str, Scalar]) -> Any:
    """As strictly as the contract's own fields: a number is no text, and a whole number no fraction."""
    return TypeAdapter(row.settings).validate_json(json.dumps(dict(values)), strict=True)
