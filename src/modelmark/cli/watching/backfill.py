"""What the monitors would have said of the past: backfill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, progress, say, say_json
from modelmark.cli.output import table as columns
from modelmark.domain.errors import Missing, Rejected

if TYPE_CHECKING:
    from modelmark.app.usecases.predictions.backfill import Backfilled, PastAlert, PastWatch
    from modelmark.domain.contract import Contract

_MOMENT = "%Y-%m-%d %H:%M"


def backfill(
    table: Annotated[
        Path, typer.Argument(help="History: CSV (also .gz), Parquet, or a folder of Delta Lake.", show_default=False)
    ],
    version: options.Version = None,
    time: Annotated[
        str | None,
        typer.Option(help="The column that says when each row happened [default: data.time of the contract]."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Where rows are only in order: the moment of the first, as 2026-01-01T00:00Z.")
    ] = None,
    step_minutes: Annotated[float, typer.Option(help="And the time between two of them.", min=0.001)] = 60.0,
    target: Annotated[
        str | None, typer.Option(help="The column of labels, where there is one [default: data.target].")
    ] = None,
    labelled_at: Annotated[str | None, typer.Option(help="The column that says when each label came.")] = None,
    delay_hours: Annotated[
        float | None,
        typer.Option(help="Or how long after its row [default: labels.expected_delay_hours of the contract].", min=0.0),
    ] = None,
    settings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Monitor settings to compare, as under 'monitors' of a contract; several times [default: its own]."
        ),
    ] = None,
    every_minutes: Annotated[
        float | None, typer.Option(help="How often to look [default: four times a window].", min=0.001)
    ] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Send history through a version and its monitors, and show what would have alarmed, when, and how often people would have
    been called: to choose windows and tolerances before going live. Nothing of it enters the journal, the alerts or a page.

    Example: modelmark backfill last-year.parquet champion --time booked_at --delay-hours 48 --settings wide.yaml
    """
    from modelmark.app.past_rows import When
    from modelmark.contract.read import monitors_in

    app = open_workbench(workspace)
    found = app.find(version, model)
    contract = app.contract_of(found)
    when = When(
        target=target or contract.data.target, time=time or _time(contract, start), start=_moment(start),
        step=timedelta(minutes=step_minutes), labelled_at=labelled_at, delay=_delay(contract, delay_hours),
    )  # fmt: skip
    compared = [(path.stem, monitors_in(_bytes(path), path, contract)) for path in settings or ()]
    every = timedelta(minutes=every_minutes) if every_minutes is not None else None
    with progress(quiet=json) as bar:
        past = app.backfill(found, table, when, settings=compared, every=every, progress=bar)
    if json:
        say_json(past)
        return OK
    _tell(past)
    return OK


def _time(contract: Contract, start: str | None) -> str | None:
    """Raises Missing where neither the contract nor anybody else says when rows happened."""
    from modelmark.gates.common.clocks import ROW_ORDER

    if start is not None:
        return None
    if contract.data.time in (None, ROW_ORDER):
        raise Missing(
            "the contract does not say when rows happened", code="NO_TIME", field="--time",
            hint="name a column by --time; rows that are merely in order take --start and --step-minutes",
        )  # fmt: skip
    return contract.data.time


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected("this is no moment", code="BAD_TIME", field="--start", limit="as 2026-01-01T00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _delay(contract: Contract, hours: float | None) -> timedelta:
    return timedelta(hours=hours if hours is not None else contract.labels.expected_delay_hours or 0.0)


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise Missing(f"there is no file {path}", code="NO_FILE", field="--settings")
    return path.read_bytes()


def _tell(past: Backfilled) -> None:
    say(f"{past.label} of {past.model} over {past.rows:,} rows from {past.start:{_MOMENT}} to {past.end:{_MOMENT}} UTC")
    say(f"  {past.labels:,} labelled; in {past.seconds:.0f} s; nothing of it was kept")
    if past.refused:
        say("  without an answer: " + ", ".join(f"{why} {n:,}" for why, n in sorted(past.refused.items())))
    say()
    columns(
        ["settings", "window", "looks", "alerts", "a month", "messages", "open"],
        [
            [
                watch.name, f"{watch.settings.window_minutes:,.0f} min", f"{watch.looks:,}, each {_long(watch.every)}",
                len(watch.alerts), f"{watch.a_month:.1f}", watch.messages, _long(timedelta(hours=watch.open_hours)),
            ]
            for watch in past.watches
        ],
    )  # fmt: skip
    for watch in past.watches:
        say()
        _tell_watch(watch)


def _tell_watch(watch: PastWatch) -> None:
    if not watch.alerts:
        say(f"With {watch.name} nothing would have alarmed.")
    else:
        say(f"With {watch.name} these would have alarmed:")
    for alert in watch.alerts:
        say(f"  {_span(alert)}  {alert.monitor} of {_about(alert)}")
        say(f"    {alert.sentence}")
    for monitor, counts in watch.outcomes.items():
        unsure, whole = counts.get("cannot tell", 0), sum(counts.values())
        if unsure:
            say(f"  {monitor} could not tell in {unsure:,} of {whole:,} findings")
    for why in watch.failed:
        say(f"  ! {why}")


def _about(alert: PastAlert) -> str:
    return ", ".join(alert.columns[:6]) + (f" and {len(alert.columns) - 6} more" if len(alert.columns) > 6 else "")


def _span(alert: PastAlert) -> str:
    if alert.until is None:
        return f"{alert.since:{_MOMENT}} to the end"
    return f"{alert.since:{_MOMENT}} for {_long(alert.until - alert.since)}"


def _long(span: timedelta) -> str:
    minutes = span.total_seconds() / 60
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 60 * 72 else f"{minutes / 1440:.0f} days"
