"""A whole table, answered into a file: predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, REFUSED, progress, require_folder, say, say_json, written


def predict(
    table: Annotated[
        Path, typer.Argument(help="CSV (also .gz), Parquet, or a folder of Delta Lake.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Where the answers go: .parquet or .csv.", show_default=False)
    ],
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A column of the table to stand beside its answers; several times, or 'all'."),
    ] = None,
    at: Annotated[str | None, typer.Option(help="The column that says when each row happened [default: now].")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Begin anew, where an earlier run of the same --out was cut short.")
    ] = False,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Answer every row of a table with what serves now, under the same contract and journal as the endpoint, in constant memory.

    A run that was cut short goes on where it stopped when the same command is given again. Exit code 1 when a row got no
    answer; its error stands in its row.

    Example: modelmark predict customers.parquet --model churn -o answers.parquet --keep customer_id
    """
    require_folder(out)
    app = open_workbench(workspace)
    with progress(quiet=json) as bar, written(out):
        found = app.predict(app.find.model(model), table, out, keep=keep or (), at=at, again=again, progress=bar)
    if json:
        say_json(found)
        return REFUSED if found.refused else OK
    answered = sum(found.served_by.values())
    rate = (found.rows - found.went_on_at) / found.seconds
    say(
        f"{'!' if found.refused else '✓'} {answered:,} of {found.rows:,} rows answered by {found.model} {found.version}"
    )
    if found.went_on_at:
        say(f"  went on at row {found.went_on_at:,}, where an earlier run had stopped")
    if set(found.served_by) - {"model"}:
        say(f"  answered by: {_listed(found.served_by)}")
    if found.refused:
        say(f"  without an answer: {_listed(found.refused)}")
    say(f"  {found.out}, in {found.seconds:.1f} s ({rate:,.0f} rows a second)")
    return REFUSED if found.refused else OK


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items(), key=lambda item: -item[1]))
