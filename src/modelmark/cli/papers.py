"""What people read about a version: diff, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.output import OK, say, say_json, table
from modelmark.domain.contract import Role

if TYPE_CHECKING:
    from modelmark.app import App


def _open(workspace: Any) -> App:
    from modelmark.app import App

    return App.open(workspace=workspace)


def diff(
    before: Annotated[str, typer.Argument(help="v2, a digest's first digits, champion or latest.")],
    after: Annotated[str, typer.Argument(help="The version to hold against it.")] = "latest",
    everything: Annotated[bool, typer.Option("--all", help="Also what did not move.")] = False,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """What differs between two versions: features, data, figures by gate, contract, size.

    Example: modelmark diff champion v7
    """
    from modelmark.governance.difference import difference

    app = _open(workspace)
    first, second = app.find(before, model), app.find(after, model)
    sections = difference(app.side(first), app.side(second))
    if json:
        say_json({"before": first.id, "after": second.id, "sections": sections})
        return OK
    say(f"{first.model} {first.label} ({first.id.short}) → {second.model} {second.label} ({second.id.short})")
    for section in sections:
        say(f"\n{section.title.capitalize()}: {section.sentence}")
        rows = section.rows if everything else section.moved
        if rows:
            table(("", first.label, second.label, "change"), [(r.what, r.before, r.after, r.change) for r in rows])
    return OK


def notes(
    version: options.Version = None,
    audience: Annotated[Role, typer.Option(help="Who reads it.")] = Role.PRODUCT,
    against: Annotated[str | None, typer.Option(help="The version it replaces [default: champion].")] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Release notes for one audience, written from what differs and what was measured.

    Example: modelmark notes v7 --audience risk
    """
    app = _open(workspace)
    found = app.find(version, model)
    text = app.notes(found, audience, app.find(against, model) if against else None)
    say_json({"version": found.id, "audience": audience, "markdown": text}) if json else say(text.rstrip())
    return OK
