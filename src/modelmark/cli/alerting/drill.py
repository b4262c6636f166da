"""Whether monitors would find what can go wrong: drill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_control_plane
from modelmark.cli.output import OK, REFUSED, progress, say, say_json, table

if TYPE_CHECKING:
    from modelmark.steward.drill.run import DrilledFault

_SIGNS = {"found": "✓", "missed": "✕", "unseen": "?", "not tried": "–"}


def drill(
    model: options.Model = None,
    windows: Annotated[int, typer.Option(help="How many of the contract's windows are copied.", min=3, max=200)] = 8,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Put faults into a copy of the champion's newest traffic, run the contract's monitors over it, and say what they find.

    Where too little is recorded, the copy is made of the holdout. Nothing of it reaches the journal, alerts or metrics.

    Exit code 1: a fault that the monitors ought to find was missed.

    Example: modelmark drill --model churn
    """
    app = open_control_plane(workspace)
    chosen = app.find.model(model)
    with progress(quiet=json) as bar:
        report = app.drill(chosen, windows=windows, progress=bar)
    code = REFUSED if any(fault.outcome == "missed" for fault in report.faults) else OK
    if json:
        say_json({"sentence": report.sentence, "report": report})
        return code
    say(f"{'✓' if code == OK else '✕'} {report.model} {report.label}: {report.sentence}")
    say(
        f"  {report.rows:,} rows of {report.source}, {report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC; "
        f"each fault begins {report.fault_at:%Y-%m-%d %H:%M}"
    )
    say()
    rows = [
        (
            f"{_SIGNS[fault.outcome]} {fault.name}", ", ".join(fault.columns) or "–", str(fault.outcome), _by(fault),
            "–" if fault.rows is None else f"{fault.rows:,}", "–" if fault.windows is None else f"{fault.windows:.2f}",
        )
        for fault in report.faults
    ]  # fmt: skip
    table(("fault", "columns", "outcome", "by", "rows", "windows"), rows)
    for alarm in report.false_alarms:
        say(f"  false alarm at {alarm.at:%Y-%m-%d %H:%M} UTC: {alarm.sentence}")
    for fault in report.faults:
        if fault.outcome == "missed":
            say(f"  ✕ {fault.name} ({fault.says}): {fault.why}")
        elif fault.outcome != "found":
            say(f"  {_SIGNS[fault.outcome]} {fault.name}: {fault.why}")
    return code


def _by(fault: DrilledFault) -> str:
    if not fault.monitor:
        return "–"
    return f"{fault.monitor} of {fault.subject}" + ("" if fault.named else ", the column was never named")
