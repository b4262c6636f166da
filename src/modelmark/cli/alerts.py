"""Alerts: alerts list, show, acknowledge, snooze, assign, close, rate, precision."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, say, say_json, table
from modelmark.domain.alerts.handling import Acknowledge, Assign, Close, Handling, Rate, Snooze
from modelmark.domain.finding import Rating
from modelmark.domain.until import later_on

if TYPE_CHECKING:
    from modelmark.domain.finding import Alert

alerts = typer.Typer(
    help="What needs a look, who has it, and what is behind it.",
    epilog="Example: modelmark alerts list",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Id = Annotated[int, typer.Argument(metavar="ID", help="The alert's number.")]


@alerts.callback()
def _group() -> None:
    """What needs a look, who has it, and what is behind it."""


@alerts.command("list")
def list_(
    model: options.Model = None,
    over: Annotated[bool, typer.Option("--over", help="Those that are over too, the newest first.")] = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Open alerts, the worst first.

    Example: modelmark alerts list
    """
    from modelmark.domain.alerts.harm import by_harm

    app = open_app(workspace)
    if model is not None:
        app.find.model(model)  # a misspelt name is an error, not an empty answer
    found = app.monitoring_store.alerts(model=model, open_only=not over, limit=1_000)
    shown = list(found) if over else by_harm(found)
    if json:
        say_json({"alerts": shown})
    elif not shown:
        say("✓ No alert is open.")
    else:
        rows = [(str(a.id), a.place, f"{a.monitor} of {a.topic}", _since(a), a.handling or "–") for a in shown]
        table(("id", "about", "what", "since", "in hand"), rows)
        say("\nMore of one: modelmark alerts show ID")
    return OK


@alerts.command()
def show(id: Id, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """One alert: what it says, what to do next, and the newest rows behind it.

    Example: modelmark alerts show 12
    """
    from modelmark.domain.alerts.next_step import next_step

    app = open_workbench(workspace)
    alert = app.monitoring_store.alert(id)
    behind = app.rows_behind(alert)
    if json:
        say_json({"alert": alert, "next": next_step(alert), "behind": behind})
        return OK
    say(f"Alert {alert.id}, {alert.place}: {alert.monitor} of {alert.topic}, {_since(alert)}")
    say(alert.sentence)
    for said in (alert.handling, f"seen {alert.count:,} times" if alert.count > 1 else ""):
        if said:
            say(f"  {said}")
    say(f"Next: {next_step(alert)}")
    say(f"\n{behind.sentence}")
    if behind.refused:
        table(("code", "field", "requests"), [(code, field or "–", f"{n:,}") for code, field, n in behind.refused])
    if behind.rows:
        answered = [str(r["prediction"] if r["prediction"] is not None else r["value"]) for r in behind.rows]
        rows = [
            (
                r["id"], str(r["row"]), f"{r['at']:%Y-%m-%d %H:%M:%S}", answer, str(r.get("label", "–")),
                ", ".join(f"{name} {value}" for name, value in r["inputs"].items()) or "–",
            )
            for r, answer in zip(behind.rows[:20], answered, strict=False)
        ]  # fmt: skip
        table(("prediction", "row", "answered", "answer", "label", "inputs"), rows)
    return OK


@alerts.command()
def acknowledge(id: Id, workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Say that you have seen it. It stays open.

    Example: modelmark alerts acknowledge 12
    """
    return _handled(id, Acknowledge(), workspace, json)


@alerts.command()
def snooze(
    id: Id,
    until: Annotated[str, typer.Option(help="4h, 2d, or a day such as 2027-01-31.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Let it ask for nobody until then. It stays open.

    Example: modelmark alerts snooze 12 --until 4h
    """
    when = later_on(until, now=datetime.now(UTC), field="--until")
    return _handled(id, Snooze(until=when), workspace, json)


@alerts.command()
def assign(
    id: Id,
    to: Annotated[str, typer.Option(help="Who sees to it.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Say who sees to it.

    Example: modelmark alerts assign 12 --to "Bob Ray"
    """
    return _handled(id, Assign(to=to), workspace, json)


@alerts.command()
def close(
    id: Id,
    reason: Annotated[str, typer.Option(help="Why it is over; it goes into the audit.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Say that it is over, such as damage that is understood. Where it is not, a new one begins.

    Example: modelmark alerts close 12 --reason "restored from the backup"
    """
    return _handled(id, Close(reason=reason), workspace, json)


@alerts.command()
def rate(
    id: Id,
    rating: Annotated[Rating, typer.Argument(help="Was it worth your time?")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Say afterwards whether it was useful or noise. The last word counts; alerts precision adds it up.

    Example: modelmark alerts rate 12 useful
    """
    return _handled(id, Rate(rating=rating), workspace, json)


@alerts.command()
def precision(
    days: Annotated[int, typer.Option(help="Of alerts that began in so many days.")] = 90,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """How many of our alerts people called useful: in all, by monitor and by model, with exact 95% intervals.

    Example: modelmark alerts precision --days 30
    """
    app = open_app(workspace)
    if model is not None:
        app.find.model(model)
    report = app.alert_precision(days=days, model=model)
    if json:
        say_json(report)
        return OK
    say(report.sentence)
    rows = [
        (
            f"{kind} {one.name}", f"{one.alerts:,}", f"{one.rated:,}", f"{one.useful:,}",
            "–" if one.share is None else f"{one.share:.0%}", f"{one.low:.0%} to {one.high:.0%}" if one.rated else "–",
        )
        for kind, found in (("monitor", report.monitors), ("model", report.models))
        for one in found
    ]  # fmt: skip
    if rows:
        table(("of", "alerts", "rated", "useful", "share", "95% interval"), rows)
    if report.total.rated < report.total.alerts:
        say("\nRate one: modelmark alerts rate ID useful")
    return OK


def _since(alert: Alert) -> str:
    begun = f"since {alert.opened_at:%Y-%m-%d %H:%M} UTC"
    return begun if alert.closed_at is None else f"{begun}, over {alert.closed_at:%Y-%m-%d %H:%M} UTC"


def _handled(id: int, act: Handling, workspace: Path | None, json: bool) -> int:
    app = open_app(workspace)
    alert = app.handle_alert(id, act, by=app.principal)
    if json:
        say_json({"alert": alert})
    else:
        say(f"✓ Alert {alert.id}, {alert.place}: {alert.details.ended or alert.handling}")
    return OK
