"""How commands come to their settings and to the objects over them. Nothing heavy is imported before one runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelmark.app.container import Container
    from modelmark.app.control_plane import ControlPlane
    from modelmark.app.reporting import Reporting
    from modelmark.app.workbench import Workbench
    from modelmark.domain.settings import Settings


def settings_of(workspace: Path | None, **given: Any) -> Settings:
    """For commands that need no object of ours. given: settings of the command line, which come before those of the
    environment."""
    from modelmark.app.configuration import configured

    return configured(workspace=workspace, **given)


def _named_in(contract: Path) -> str | None:
    """The model that a contract names, by its file or the folder that holds it; None where there is none."""
    from modelmark.contract.read import FILE, name_in

    return name_in(contract / FILE if contract.is_dir() else contract)


def _named_here() -> str | None:
    return _named_in(Path())


def open_app(workspace: Path | None) -> Container:
    """For commands about versions, people and releases."""
    from modelmark.app.container import Container

    return Container(settings_of(workspace), meant=_named_here)


def look_at(workspace: Path | None) -> Container:
    """For commands that write nothing, whoever may write there."""
    from modelmark.app.container import Container

    return Container(settings_of(workspace), read_only=True, meant=_named_here)


def open_reporting(workspace: Path | None) -> Reporting:
    """For commands that only write a report anew."""
    from modelmark.app.reporting import Reporting

    return Reporting(settings_of(workspace), meant=_named_here)


def open_workbench(workspace: Path | None, contract: Path | None = None) -> Workbench:
    """For commands that read tables and run models. contract: whose model is meant [default: the current folder's]."""
    from modelmark.app.workbench import Workbench

    return Workbench(settings_of(workspace), meant=_named_here if contract is None else partial(_named_in, contract))


def open_control_plane(workspace: Path | None, **given: Any) -> ControlPlane:
    """For the process that runs the steward and the pages. given: as for `settings_of`."""
    from modelmark.app.control_plane import ControlPlane

    return ControlPlane(settings_of(workspace, **given))
