"""From a model file and its tables to a contract that people fill in: init."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, settings_of
from modelmark.cli.output import OK, progress, require_folder, say, say_json, written
from modelmark.domain.errors import Conflict

if TYPE_CHECKING:
    from modelmark.registry.drafting.draft import Drafted
    from modelmark.registry.drafting.rehearsal import Rehearsal


def init(
    model: Annotated[
        str,
        typer.Argument(help="The trained model: a file (joblib, ONNX, .py …), a folder, or runs:/… models:/…"),
    ],
    *,
    train: Annotated[Path, typer.Option(help="The training table: CSV (.gz) or Parquet.")],
    holdout: Annotated[Path, typer.Option(help="Rows the model has never seen.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    name: Annotated[str | None, typer.Option(help="The model's name in addresses [default: the folder's].")] = None,
    out: Annotated[Path, typer.Option(help="The contract to write.")] = Path("modelmark.yaml"),
    force: Annotated[
        bool, typer.Option("--force", help="Replace a contract that is there; what people filled in stays.")
    ] = False,
    answers: Annotated[
        Path | None, typer.Option(help="What people say of the model, as YAML; see docs/contract.md.")
    ] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask for what is missing, here on the terminal.")] = False,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Draft the contract from the data; say what was guessed and what only a person can fill.

    Example: modelmark init model.joblib --train train.csv --holdout holdout.csv --target churned
    """
    if out.exists() and not force:
        raise Conflict(
            f"{out} is there already", code="EXISTS", hint="give --out another name, or --force to replace it"
        )
    from modelmark.cli.asking import answers_of, require_terminal
    from modelmark.contract.answers import Answers, kept, read_answers
    from modelmark.registry.drafting.draft import prepare

    require_folder(out)
    settings_of(workspace)  # a setting that cannot be is said here already
    said = (read_answers(answers) if answers else Answers()).over(kept(out))
    if ask:
        require_terminal(as_json=json)
    with progress(quiet=json) as bar, written(out):
        draft = prepare(
            model, train=train, holdout=holdout, target=target, name=name, out=out, said=said, progress=bar,
            fetch=lambda address, folder: open_app(workspace).tracking.download(address, folder),
        )  # fmt: skip
    with written(out):
        drafted = draft.write(said.over(Answers(said=answers_of(said.said, input))) if ask else said)
    if json:
        obstacle = drafted.rehearsal.obstacle if drafted.rehearsal else None
        facts = {"contract": out, "guesses": drafted.guesses, "unfilled": drafted.unfilled}
        say_json({**facts, "obstacle": obstacle.facts() if obstacle else None})
        return OK
    say_draft(out, drafted)
    return OK


def say_draft(out: Path, drafted: Drafted) -> None:
    """What was written, what stands in the way, what people have to fill, what was guessed, and what comes next."""
    say(f"✓ wrote {out}: {drafted.task}, {drafted.inputs} inputs{_tried(drafted.rehearsal)}")
    if drafted.rehearsal and (obstacle := drafted.rehearsal.obstacle):
        say(f"! before it can be registered: {obstacle.message}{f' → {obstacle.hint}' if obstacle.hint else ''}")
    _say_unfilled(out, drafted)
    _say_guesses(out, drafted)
    say(f"\nNext: {'fill them in, then ' if drafted.unfilled else ''}modelmark register")


def _tried(rehearsal: Rehearsal | None) -> str:
    if rehearsal is None or rehearsal.obstacle:
        return ""
    what = "run as itself, it" if rehearsal.instead else "its conversion"
    return f"; {what} answers {rehearsal.flipped} of {rehearsal.rows} rows otherwise"


def _say_unfilled(out: Path, drafted: Drafted) -> None:
    """A line of the file each, with the fields in it."""
    if not drafted.unfilled:
        return
    say(f"\nOnly a person can fill these ({len(drafted.unfilled)}); nothing is released while one is empty:")
    by_line: defaultdict[int, list[str]] = defaultdict(list)
    for field, line in drafted.unfilled:
        by_line[line or 1].append(field)
    for line, fields in sorted(by_line.items()):
        say(f"  {out}:{line}  {_together(fields)}")


def _together(fields: Sequence[str]) -> str:
    """
    >>> _together(["goals[0].name", "goals[0].by"])
    'goals[0]: name, by'
    """
    if len(fields) == 1:
        return fields[0]
    return f"{fields[0].rpartition('.')[0]}: {', '.join(field.rpartition('.')[2] for field in fields)}"


def _say_guesses(out: Path, drafted: Drafted) -> None:
    """What decides most, a line each; ranges and categories of inputs together."""
    columns = list(_of_columns(drafted))
    say(f"\nGuessed, and marked GUESS in {out}:")
    for field, line, reason in drafted.guesses:
        if line not in columns:
            say(f"  {out}:{line}  {field}: {reason}")
    if columns:
        say(f"  {out}:{columns[0]}  {len(columns)} inputs: the ranges and categories of the training table")


def _of_columns(drafted: Drafted) -> Iterator[int]:
    """Lines of inputs."""
    for field, line, reason in drafted.guesses:
        if (field, reason) in drafted.columns:
            yield line
