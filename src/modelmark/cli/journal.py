"""The journal's own commands: journal salvage."""

from __future__ import annotations

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, REFUSED, say, say_json

journal = typer.Typer(
    help="Repair of the journal.",
    epilog="Example: modelmark journal salvage",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@journal.callback()
def _group() -> None:
    """Repair of the journal."""


@journal.command()
def salvage(workspace: options.Workspace = None, json: options.Json = False) -> int:
    """Take what can be read of damaged segments in quarantine into the tables, once. Exit code 1 while records are missing.

    Example: modelmark journal salvage
    """
    found = open_workbench(workspace).salvage()
    whole = all(one.whole for one in found)
    if json:
        said = [
            {"file": f.name, "taken": f.taken, "rows": f.rows, "missing": f.missing, "refused": f.refused}
            for f in found
        ]
        say_json({"verdict": "pass" if whole else "fail", "files": said})
        return OK if whole else REFUSED
    for one in found:
        if one.refused is not None:
            say(f"✕ {one.name}: nothing was taken: {one.refused}")
            continue
        left = "nothing tells how many are" if one.missing is None else f"{one.missing:,} are"
        say(f"{'✓' if one.whole else '✕'} {one.name}: {one.taken:,} records were taken, {left} still missing")
    if not found:
        say("✓ Nothing lies in quarantine.")
    elif not whole:
        say("\n✕ Put a sound copy in the file's place and run it again, or move it away to accept the loss.")
    return OK if whole else REFUSED
