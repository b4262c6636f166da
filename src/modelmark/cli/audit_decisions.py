"""Decisions made without a model, by group: audit-decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.output import OK, require_folder, say, say_json, table, written
from modelmark.domain.errors import Rejected


def audit_decisions(
    rows: Annotated[Path, typer.Argument(help="A table with a row a decision: CSV (.gz) or Parquet.", metavar="TABLE")],
    *,
    target: Annotated[str, typer.Option(help="The column that says what was true.")],
    sensitive: Annotated[
        list[str], typer.Option(help="A column whose groups are compared; may be given several times.")
    ],
    decision: Annotated[str | None, typer.Option(help="The column that says what was decided.")] = None,
    score: Annotated[str | None, typer.Option(help="The column of a score that was given.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The score from which on it is yes [default: 0.5, where scores are 0 to 1].")
    ] = None,
    positive: Annotated[
        str | None, typer.Option(help="The value of target that means yes [default: 1, true or yes].")
    ] = None,
    decided: Annotated[
        str | None, typer.Option(help="The value of decision that means yes [default: the target's].")
    ] = None,
    out: Annotated[Path, typer.Option(help="The report, one page that opens offline.")] = Path("decisions.html"),
    json: options.Json = False,
) -> int:
    """Audit decisions or scores without a model: counts, rates and both sides of a wish that cannot be had.

    Example: modelmark audit-decisions loans.csv --decision granted --target repaid --sensitive sex --sensitive age
    """
    if decision is None and score is None:
        raise Rejected(
            "what was decided?", code="NO_DECISION", field="--decision", limit="a column: --decision or --score",
            hint="modelmark audit-decisions --help",
        )  # fmt: skip
    from modelmark.app.usecases.audit_decisions import AuditDecisions
    from modelmark.gates.fairness.decisions import Question

    require_folder(out)
    asked = Question(
        target=target, sensitive=tuple(dict.fromkeys(sensitive)), decision=decision, score=score, threshold=threshold,
        positive=positive, decided=decided,
    )  # fmt: skip
    with written(out):
        found = AuditDecisions(clock=lambda: datetime.now(UTC))(rows, asked, out=out)
    if json:
        say_json({"audit": found, "report": out})
        return OK
    left = f"; {found.left_out:,} without a truth or a decision are left out" if found.left_out else ""
    say(f"{found.rows:,} decisions, yes is {found.yes!r}{left}")
    for column in found.columns:
        say(f"\nBy {column.column}:")
        table(column.tables[0].columns, column.tables[0].rows)
        for sentence in (*column.sentences, *column.impossible):
            say(f"  {sentence}")
    say(f"\n  the whole report: {out}")
    return OK
