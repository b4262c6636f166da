"""Ours by dotted path, third parties' by entry point: one list, loaded on use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from modelmark.domain.errors import Conflict, NotYet


def listed(group: str, builtin: Mapping[str, str]) -> dict[str, str]:
    """Name to `module:attribute` of each: ours, then those that installed packages announce in the group, by name.

    Raises Conflict when a package takes a name that is taken.
    """
    found = dict(builtin)
    for entry in sorted(entry_points(group=group), key=lambda entry: entry.name):
        if entry.name in found and found[entry.name] != entry.value:
            raise Conflict(
                f"two plugins of {group} go by the name {entry.name}",
                code="PLUGIN_NAME_TAKEN",
                field=entry.name,
                limit=f"{found[entry.name]}, {entry.value}",
                hint="uninstall one of the packages",
            )
        found[entry.name] = entry.value
    return found


def load(name: str, path: str) -> Any:
    """What a path of `listed` names. Raises NotYet when it cannot be imported: nothing of it may half work."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(import_module(module), attribute)
    except Exception as error:
        raise NotYet(
            f"the plugin {name} cannot be loaded: {type(error).__name__}: {error}",
            code="PLUGIN_FAILED",
            field=name,
            hint=f"look at {path}",
        ) from error
