"""The rows of every gate and monitor: of this house, and of installed packages by entry point.

An entry point of the group `modelmark.gates` (`modelmark.monitors`) names a `GateRow` (`MonitorRow`) of the entry point's
own name. Looked up when a contract names it, and remembered for the life of the process. None of ours can be replaced.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from modelmark.domain.catalogue.gates import GATES
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.catalogue.rows import CardSection, DifferenceSection, GateRow, MonitorRow, Place
from modelmark.domain.contract import Contract
from modelmark.domain.errors import Missing

GATE_GROUP: Final = "modelmark.gates"
MONITOR_GROUP: Final = "modelmark.monitors"


def gate_row(name: str) -> GateRow | None:
    """None: no installed package brings it. Raises Missing for one that cannot be loaded."""
    return GATES.get(name) or _brought(GATE_GROUP, name, GateRow)


def monitor_row(name: str) -> MonitorRow | None:
    """None: no installed package brings it. Raises Missing for one that cannot be loaded."""
    return MONITORS.get(name) or _brought(MONITOR_GROUP, name, MonitorRow)


def gate_names() -> tuple[str, ...]:
    """Every gate that can be asked for here: ours, then those of installed packages."""
    return tuple(dict.fromkeys((*GATES, *sorted(entry_points(group=GATE_GROUP).names))))


def required_gates(contract: Contract) -> tuple[str, ...]:
    """The names of every gate a version must pass, in the order they are shown.

    A gate whose subject the contract does not name (no sensitive column, no tests of its own) has nothing to ask; one that
    nobody brings is asked all the same, since what cannot be measured is no pass.
    """
    own = (name for name in GATES if getattr(contract.gates, name) is not None)
    return tuple(row.name for row in shown_gates((*own, *contract.gates.plugins)) if row.subject(contract))


def shown_gates(names: Iterable[str]) -> tuple[GateRow, ...]:
    """Rows of what is named, to show what it said: ours in their order, then the others as given.

    A gate whose package is gone or broken has a plain row, so that what it once said is shown.
    """
    given = dict.fromkeys(names)
    return (
        *(row for row in GATES.values() if row.name in given),
        *(_shown_gate(name) for name in given if name not in GATES),
    )


def shown_monitors(names: Iterable[str]) -> tuple[MonitorRow, ...]:
    """As `shown_gates`, of monitors."""
    given = dict.fromkeys(names)
    return (
        *(row for row in MONITORS.values() if row.name in given),
        *(_shown_monitor(name) for name in given if name not in MONITORS),
    )


def load(row: GateRow | MonitorRow) -> Any:
    """What the row's code names. Raises Missing where it cannot be loaded."""
    module, _, name = row.code.partition(":")
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        raise _broken(row.name, f"{row.code}: {type(error).__name__}: {error}") from error


@cache
def _brought(group: str, name: str, kind: type[Any]) -> Any:
    found = [*entry_points(group=group, name=name)]
    if not found:
        return None
    try:
        row = found[0].load()
    except Exception as error:
        raise _broken(name, f"{found[0].value}: {type(error).__name__}: {error}") from error
    if not isinstance(row, kind) or row.name != name:
        raise _broken(name, f"{found[0].value} is no {kind.__name__} of that name")
    return row


def _broken(name: str, why: str) -> Missing:
    return Missing(f"{name} cannot be loaded: {why}", code="BAD_PLUGIN", hint="install its package again, or another")


@dataclass(frozen=True)
class _NoSettings:
    """Of a gate or monitor that is not here to be set."""


def _shown_gate(name: str) -> GateRow:
    with suppress(Missing):
        if (row := gate_row(name)) is not None:
            return row
    return GateRow(
        name=name,
        code="",
        settings=_NoSettings,
        ranges={},
        audiences={},
        difference=Place(DifferenceSection.DATA),
        card=Place(CardSection.ANALYSES),
    )


def _shown_monitor(name: str) -> MonitorRow:
    with suppress(Missing):
        if (row := monitor_row(name)) is not None:
            return row
    return MonitorRow(name=name, code="", settings=_NoSettings, ranges={})
