"""Models that other servers keep: import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.draft import say_draft
from modelmark.cli.output import OK, REFUSED, UNMEASURED, progress, require_folder, say, say_json, written
from modelmark.domain.errors import Conflict

if TYPE_CHECKING:
    from modelmark.app.usecases.foreign.import_model import Imported


def import_(
    place: Annotated[
        Path,
        typer.Argument(
            help="An MLmodel folder, a Triton repository, MLServer's settings, TensorFlow Serving's layout."
        ),
    ],
    *,
    train: Annotated[Path, typer.Option(help="The training table: CSV (.gz) or Parquet.")],
    holdout: Annotated[Path, typer.Option(help="Rows the model has never seen.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    model: Annotated[str | None, typer.Option(help="Which, of a repository that holds several.")] = None,
    name: Annotated[str | None, typer.Option(help="The model's name in addresses [default: as it is there].")] = None,
    out: Annotated[Path, typer.Option(help="The contract to write.")] = Path("modelmark.yaml"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace a contract that is there; what people filled in stays.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Draft the contract of a model that another server keeps, and prove that it would be answered here as it is there.

    Exit code 1: some rows are answered otherwise. 2: that could not be measured. The draft is written all the same.

    Example: modelmark import triton/models --train train.csv --holdout holdout.csv --target churned
    """
    if out.exists() and not force:
        raise Conflict(
            f"{out} is there already", code="EXISTS", hint="give --out another name, or --force to replace it"
        )
    from modelmark.app.usecases.foreign.import_model import ImportModel, Tables
    from modelmark.contract.answers import Answers, kept

    require_folder(out)
    tables = Tables(train=train, holdout=holdout, target=target)
    with progress(quiet=json) as bar, written(out):
        found = ImportModel(progress=bar)(place, tables, out, model=model, name=name, said=Answers().over(kept(out)))
    if json:
        say_json(_facts(out, found))
    else:
        version = f" version {found.found.version}" if found.found.version else ""
        say(f"✓ {found.found.kind}: {found.found.name}{version}, {found.found.file}")
        _say_proof(found)
        say_draft(out, found.drafted)
    if found.proof.obstacle is not None:
        return UNMEASURED
    return OK if found.proof.holds else REFUSED


def _say_proof(found: Imported) -> None:
    proof = found.proof
    refused = f"; the contract refuses {proof.refused} more" if proof.refused else ""
    if proof.obstacle is not None:
        hint = f" → {proof.obstacle.hint}" if proof.obstacle.hint else ""
        say(f"? not proven, nothing could be compared: {proof.obstacle.message}{hint}")
    elif proof.holds:
        say(
            f"✓ {proof.rows} rows are answered here as the model answers them, scores within {proof.difference:.1g}{refused}"
        )
    else:
        say(
            f"✕ {proof.differing} of {proof.rows} rows are answered otherwise here, by up to {proof.difference:.2g}{refused}"
        )


def _facts(out: Path, found: Imported) -> dict[str, object]:
    proof = found.proof
    return {
        "contract": out,
        "layout": found.found.kind,
        "model": found.found.name,
        "version": found.found.version or None,
        "file": found.found.file,
        "proof": {
            "holds": proof.holds,
            "rows": proof.rows,
            "differing": proof.differing,
            "refused": proof.refused,
            "difference": proof.difference,
            "obstacle": proof.obstacle.facts() if proof.obstacle else None,
        },
        "guesses": found.drafted.guesses,
        "unfilled": found.drafted.unfilled,
    }
