"""How a model is watched: monitors show, set, reset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app
from modelmark.cli.output import OK, say, say_document, say_json
from modelmark.domain.errors import Missing

if TYPE_CHECKING:
    from modelmark.app.usecases.find_version import FindVersion
    from modelmark.domain.version import Version

monitors = typer.Typer(
    help="How a model is watched after release, beside what its contract says.",
    epilog="Example: modelmark monitors show --model churn",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Reason = Annotated[str, typer.Option("--reason", help="Why, for the audit.", show_default=False)]


@monitors.callback()
def _group() -> None:
    """How a model is watched after release, beside what its contract says."""


@monitors.command()
def show(model: options.Model = None, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """What is set now, and who changed it when. Its output is a file for 'monitors set' and for 'backfill --settings'.

    Example: modelmark monitors show --model churn
    """
    from modelmark.seal.digests import plain

    app = open_app(workspace)
    version = _watched(app.find, model)
    changed = app.watching.changed(version.model)
    settings = (changed and changed.settings) or app.contract_of(version).monitors
    if json:
        say_json({"model": version.model, "version": version.label, "settings": settings, "changed": changed})
        return OK
    say_document(_yaml(plain(settings)))
    if changed is None:
        say(f"# as the contract of {version.label} says")
    else:
        what = (
            f"{', '.join(changed.changed)} set"
            if changed.settings
            else f"as the contract of {version.label} says again"
        )
        say(f"# {what} by {changed.name} at {changed.at:%Y-%m-%d %H:%M} UTC: {changed.reason}")
    return OK


@monitors.command("set")
def set_(
    file: Annotated[Path, typer.Argument(help="The settings, as under 'monitors' of a contract.", show_default=False)],
    reason: Reason,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Watch a model otherwise, from the steward's next look on, without a new version. What the file leaves out is the default's.

    Example: modelmark monitors set wide.yaml --model churn --reason 'nights are too quiet for an hour'
    """
    from modelmark.contract.read import monitors_in

    app = open_app(workspace)
    version = _watched(app.find, model)
    if not file.is_file():
        raise Missing(f"there is no file {file}", code="NO_FILE", field="FILE")
    contract = app.contract_of(version)
    settings = monitors_in(file.read_bytes(), file, contract)
    now = app.watching.settings(version.model) or contract.monitors
    found = app.watching.change(version.model, settings, now, reason, by=app.principal)
    if json:
        say_json(found)
    else:
        say(
            f"✓ {version.model} is watched otherwise: {', '.join(found.changed)}; a steward that runs follows in its next look"
        )
        say(f"  back again: modelmark monitors reset --model {version.model} --reason WHY")
    return OK


@monitors.command()
def reset(
    reason: Reason, model: options.Model = None, workspace: options.Workspace = None, json: options.Json = False
) -> int:
    """Watch a model as each version's contract says.

    Example: modelmark monitors reset --model churn --reason 'the season is over'
    """
    app = open_app(workspace)
    version = _watched(app.find, model)
    found = app.watching.reset(version.model, reason, by=app.principal)
    if json:
        say_json(found)
    else:
        say(f"✓ {version.model} is watched as its contract says")
    return OK


def _watched(find: FindVersion, model: str | None) -> Version:
    """The champion, or where nothing serves yet the newest. Raises Missing where there is none."""
    name = find.model(model)
    try:
        return find("champion", name)
    except Missing:
        return find("latest", name)


def _yaml(settings: object) -> str:
    import yaml

    return str(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)).rstrip()
