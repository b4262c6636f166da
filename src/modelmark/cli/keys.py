"""Keys of the endpoint: key create, list, revoke."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app
from modelmark.cli.output import OK, say, say_json, table
from modelmark.domain.endpoint.keys import EndpointKey, read_life, read_rate, read_scopes

key = typer.Typer(
    help="Keys of programs that ask the endpoint for predictions.",
    epilog="Example: modelmark key create shop --scope predict,label --rate 100/s",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@key.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for: a-z 0-9 . _ -")],
    scope: Annotated[str, typer.Option(help="What it may do: predict, label, explain.")] = "predict",
    model: Annotated[str | None, typer.Option(help="The only model it is for [default: all].")] = None,
    expires: Annotated[str, typer.Option(help="How long it lives: 1d to 366d.")] = "90d",
    rate: Annotated[str | None, typer.Option(help="How often it may ask: 100/s, 600/m, 5000/h [default: any].")] = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Make a key of the endpoint. It is shown once, for `Authorization: Bearer KEY` or `X-API-Key: KEY`.

    Example: modelmark key create shop --scope predict,label --model churn --expires 30d --rate 100/s
    """
    scopes, life, often = read_scopes(scope), read_life(expires), read_rate(rate) if rate else None
    app = open_app(workspace)
    made, secret = app.endpoint_keys.create(name, scopes=scopes, life=life, model=model, rate=often, by=app.principal)
    if json:
        say_json(_facts(made) | {"key": secret})
        return OK
    say(f"✓ key {made.name} for {', '.join(made.scopes)}, until {made.expires_at:%Y-%m-%d}; shown this once:")
    say(f"  {secret}")
    return OK


@key.command("list")
def list_keys(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Every key that was not revoked: for what, until when. The secrets are not kept.

    Example: modelmark key list
    """
    app = open_app(workspace)
    found, now = app.endpoint_keys.list(), app.clock()
    if json:
        say_json([_facts(one) for one in found])
        return OK
    rows = [
        (
            one.name, one.id, ", ".join(one.scopes), one.model or "all models", _rate(one), f"{one.expires_at:%Y-%m-%d}",
            one.issued_by, "expired" if one.expires_at <= now else "",
        )
        for one in found
    ]  # fmt: skip
    table(("key", "id", "may", "for", "a second", "until", "made by", ""), rows) if rows else say("No key yet.")
    return OK


@key.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The key's name or id, as `key list` shows it.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """End a key; within a second it opens nothing, at no worker.

    Example: modelmark key revoke shop
    """
    app = open_app(workspace)
    ended = app.endpoint_keys.revoke(name, by=app.principal)
    say_json({"id": ended.id, "name": ended.name}) if json else say(f"✓ key {ended.name} opens nothing now")
    return OK


def _rate(one: EndpointKey) -> str:
    return "any" if one.rate is None else f"{one.rate:g}"


def _facts(one: EndpointKey) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "scopes": one.scopes,
        "model": one.model,
        "rate": one.rate,
        "issued_at": one.issued_at,
        "expires_at": one.expires_at,
        "issued_by": one.issued_by,
    }
