"""What leaves for people and other systems: deliveries list, resend, test, secret."""

from __future__ import annotations

from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, REFUSED, say, say_json, table

deliveries = typer.Typer(
    help="What waits to be told, what never arrived, and whether webhooks take it.",
    epilog="Example: modelmark deliveries list",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@deliveries.callback()
def _group() -> None:
    """What waits to be told, what never arrived, and whether webhooks take it."""


@deliveries.command("list")
def list_(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """What has not arrived, dead letters first. Exit code 1 where there are dead letters.

    Example: modelmark deliveries list
    """
    found = open_app(workspace).deliveries()
    if json:
        say_json({"dead": found.dead, "webhooks": found.webhooks, "messages": found.messages})
        return REFUSED if found.dead else OK
    say(("✕ " if found.dead else "✓ ") + found.sentence)
    if found.webhooks:
        table(
            ("webhook", "waiting", "dead"), [(one.place, f"{one.waiting:,}", f"{one.dead:,}") for one in found.webhooks]
        )
    if found.messages:
        rows = [
            (
                one.key, one.to, one.title, f"{one.tries}",
                "dead" if one.dead else f"due {one.due_at:%Y-%m-%d %H:%M} UTC", one.error or "–",
            )
            for one in found.messages[:100]
        ]  # fmt: skip
        table(("key", "to", "what", "tries", "state", "why"), rows)
    if found.dead:
        say("\nSend dead letters again: modelmark deliveries resend")
    return REFUSED if found.dead else OK


@deliveries.command()
def resend(
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY]...", help="Of messages [default: all dead letters].")
    ] = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Send again what never arrived. The steward does it in its next step.

    Example: modelmark deliveries resend
    """
    app = open_app(workspace)
    count = app.send_again(keys or (), by=app.principal)
    if json:
        say_json({"count": count})
    else:
        say(f"✓ {count:,} messages are due now; the steward sends them." if count else "✓ There is no dead letter.")
    return OK


@deliveries.command("test")
def trial(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Send each webhook one signed message of type trial, now. Exit code 1 where one does not take it.

    Example: modelmark deliveries test
    """
    found = open_workbench(workspace).try_webhooks()
    if json:
        say_json({"webhooks": found})
    elif not found:
        say("No webhook is named: MODELMARK_WEBHOOKS.")
    else:
        table(("webhook", "answer"), [(one.place, f"✕ {one.error}" if one.error else "✓ taken") for one in found])
    return REFUSED if any(one.error for one in found) else OK


@deliveries.command()
def secret(json: options.Json = False) -> int:
    """A new secret for a webhook, from the system's generator. It is kept nowhere: give it to the receiver too.

    Example: modelmark deliveries secret
    """
    from modelmark.domain.alerts.webhooks import new_secret

    made = new_secret()
    if json:
        say_json({"secret": made})
    else:
        say(made)
    return OK
