"""The monitors a contract turns on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, Final

from modelmark.domain.errors import Missing
from modelmark.domain.monitor_settings import Monitors
from modelmark.monitors.drift import Drift
from modelmark.monitors.monitor import Monitor
from modelmark.monitors.performance import Performance
from modelmark.monitors.quality import Quality

GROUP: Final = "modelmark.monitors"

#: Spelled out, so `grep` finds every monitor and mypy checks each against `Monitor`. None: the contract turned it off.
BUILTIN: Final[Mapping[str, Callable[[Monitors], Monitor | None]]] = {
    "quality": lambda settings: Quality(settings.quality) if settings.quality else None,
    "drift": lambda settings: Drift(settings.drift) if settings.drift else None,
    "performance": lambda settings: Performance(settings.performance) if settings.performance else None,
}


def enabled(settings: Monitors) -> list[Monitor]:
    """Built-in ones first, then the plugins the contract names. Raises Missing for one that is not installed."""
    built = [monitor for make in BUILTIN.values() if (monitor := make(settings)) is not None]
    return built + [_plugin(name, values) for name, values in settings.plugins.items()]


def _plugin(name: str, values: Mapping[str, Any]) -> Monitor:
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise Missing(
            f"no installed package brings a monitor {name!r}",
            code="NO_MONITOR",
            field=f"monitors.plugins.{name}",
            hint=f"install it; it registers the entry point {GROUP}",
        )
    made: Monitor = found[0].load()(**values)
    return made
