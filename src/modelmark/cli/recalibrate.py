"""From a version whose probabilities mislead to a model file whose probabilities do not."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, require_folder, say, say_json, written
from modelmark.domain.errors import Conflict


class Method(StrEnum):
    """As in `stats.recalibration`, which is too heavy for `--help`."""

    PLATT = "platt"
    ISOTONIC = "isotonic"


def recalibrate(
    version: options.Version = None,
    *,
    out: Annotated[Path, typer.Option(help="The ONNX model to write.")],
    method: Annotated[
        Method | None, typer.Option(help="How to map scores [default: isotonic from 2,000 validation rows on].")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    contract: options.Contract = Path("modelmark.yaml"),
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Fit a calibration map on data.validation and append it to the version's graph: a new model to register.

    Example: modelmark recalibrate v3 --out recalibrated.onnx
    """
    if out.exists() and not force:
        raise Conflict(
            f"{out} is there already", code="EXISTS", hint="give --out another name, or --force to replace it"
        )
    require_folder(out)
    app = open_workbench(workspace, contract)
    found = app.find(version, model)
    made = app.recalibrate(found, contract, method)
    with written(out):
        out.write_bytes(made.model)
    if json:
        say_json(
            {
                "version": found.id,
                "model": out,
                "method": made.map.method,
                "before": made.before,
                "after": made.after,
                "threshold": made.threshold,
                "cheapest_threshold": made.cheapest,
            }
        )
        return OK
    say(f"✓ wrote {out}: {found.model} {found.label} with a map ({made.map.method}) behind it")
    say(
        f"  calibration error on {made.before.n:,} validation rows: {made.before} before, {made.after} after (cross-fitted)"
    )
    say(f"  decisions stay as they are at outputs.threshold {made.threshold:.4g}")
    if made.cheapest is not None:
        say(f"  the cheapest threshold on these rows is {made.cheapest:.4g}")
    say(f"  next: set model.source: {out} and outputs.threshold in the contract, then modelmark register")
    return OK
