"""Options that several commands share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelmark.domain.people import Role

Workspace = Annotated[
    Path | None,
    typer.Option("--workspace", help="Where everything is kept [default: .modelmark, or MODELMARK_WORKSPACE]."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of sentences.")]
Model = Annotated[str | None, typer.Option("--model", help="The model's name, where the workspace holds several.")]
Version = Annotated[
    str | None, typer.Argument(help="v3, a digest's first digits, champion, canary or latest [default: latest].")
]
Contract = Annotated[Path, typer.Option("--contract", help="The contract file, or the folder that holds it.")]
RoleOption = Annotated[Role, typer.Option("--role", help="The role in which this person is named in the contract.")]
Name = Annotated[str | None, typer.Option("--name", help="Full name, as in the contract [default: your key's].")]
Expect = Annotated[
    str | None,
    typer.Option(
        "--expect", help="What serves, as you saw it: v4, v4+v5 beside a canary, or nothing [default: what serves now]."
    ),
]
