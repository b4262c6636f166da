"""The monitors a contract turns on."""

from __future__ import annotations

from modelmark.contract.catalogue import load, monitor_row
from modelmark.contract.plugin_settings import settings_of
from modelmark.domain.catalogue.monitor_settings import Monitors
from modelmark.domain.catalogue.monitors import MONITORS
from modelmark.domain.catalogue.rows import MonitorRow
from modelmark.domain.errors import Missing
from modelmark.monitors.monitor import Monitor, MonitorKind


def enabled(settings: Monitors) -> list[Monitor]:
    """Ours first, then the plugins the contract names.

    Raises Missing for one that is not installed, Rejected for settings that its package refuses.
    """
    own = [(row, getattr(settings, name)) for name, row in MONITORS.items()]
    brought = [(_installed(name), values) for name, values in settings.plugins.items()]
    return [
        *(_made(row, given) for row, given in own if given is not None),
        *(_made(row, settings_of(row, values)) for row, values in brought),
    ]


def _made(row: MonitorRow, settings: object) -> Monitor:
    kind: MonitorKind = load(row)
    return kind(settings)


def _installed(name: str) -> MonitorRow:
    row = monitor_row(name)
    if row is None:
        raise Missing(
            f"no installed package brings a monitor {name!r}",
            code="NO_MONITOR",
            field=f"monitors.plugins.{name}",
            hint="install it; it registers the entry point modelmark.monitors",
        )
    return row
