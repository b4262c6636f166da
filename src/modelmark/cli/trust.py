"""What auditors ask: is everything what was signed, and where did it stand at a time kept elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import look_at, open_app
from modelmark.cli.output import OK, REFUSED, say, say_json
from modelmark.domain.errors import Rejected


def verify(
    workspace: options.Workspace = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint kept elsewhere: nothing it saw may be gone or rewritten.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key kept with it [default: the workspace's own].")
    ] = None,
    write_ledger: Annotated[
        Path | None, typer.Option(help="Write the database's rows there, for the stand-alone verifier, and end.")
    ] = None,
    json: options.Json = False,
) -> int:
    """Check every row, file, mark and chain offline; name the first bad item. Exit code 1 if any is bad.

    Example: modelmark verify --checkpoint elsewhere/checkpoint-00000007.dsse.json --key elsewhere/mark.pub
    """
    if key is not None and checkpoint is None:
        raise Rejected(
            "a key alone is checked against nothing", code="USAGE", field="--key", hint="add --checkpoint FILE"
        )
    from modelmark.governance.verify import PENDING

    app = look_at(workspace)
    if write_ledger is not None:
        count = app.verify.write_ledger(write_ledger)
        say_json({"rows": count, "file": write_ledger}) if json else say(f"✓ {count} rows written to {write_ledger}")
        return OK
    items = [*(app.verify.against(checkpoint, key) if checkpoint else ()), *app.verify()]
    bad = [item for item in items if item.fault]
    if json:
        say_json({"verdict": "fail" if bad else "pass", "first_bad": bad[0] if bad else None, "items": items})
        return REFUSED if bad else OK
    pending = [item for item in items if item.kind == PENDING]
    for item in items:
        sign = "✕" if item.fault else "!" if item in pending else "✓"
        say(f"{sign} {item.kind:<10} {item.name}: {item.sentence}")
    if bad:
        say(f"\n✕ The first bad item is {bad[0].kind} {bad[0].name}: {bad[0].sentence} [{bad[0].fault}]")
        return REFUSED
    say(f"\n✓ All {len(items) - len(pending)} items are what was signed and recorded.")
    return OK


def checkpoint(
    workspace: options.Workspace = None,
    to: Annotated[
        str | None,
        typer.Option(help="A folder, git+FOLDER or an address that takes PUT [default: MODELMARK_CHECKPOINT_TO]."),
    ] = None,
    json: options.Json = False,
) -> int:
    """Sign where everything stands, and copy it to where nobody who can change this workspace can reach it.

    Example: modelmark checkpoint --to /mnt/auditors
    """
    made, where = open_app(workspace).checkpoint(to=to)
    if json:
        say_json({"checkpoint": made, "where": where})
        return OK
    seen = made.audit["sequence"] if made.audit else 0
    say(f"✓ checkpoint {made.number}: {seen} audit events, {sum(made.counts.values())} rows; {where}")
    if to is None and made.number == 1:
        say("  Keep keys/mark.pub with it: modelmark verify --checkpoint FILE --key FILE finds what was put back.")
    return OK
