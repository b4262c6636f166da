"""Looking back: audit, what was live and who had agreed; replay, whether a version answers as it did; explain, why it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, REFUSED, say, say_json, table
from modelmark.domain.predictions.explanations import Method

if TYPE_CHECKING:
    from modelmark.app.usecases.audit_at import Live


def audit(
    at: Annotated[str, typer.Option(help="A time, UTC unless it says so: 2026-03-01T14:05 [default: now].")] = "",
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """What was live at a moment: which versions, who had agreed and how they came in, on what evidence.

    Example: modelmark audit --at 2026-03-01T14:05
    """
    from modelmark.domain.until import moment

    app = open_app(workspace)
    found = app.audit_at(moment(at, now=app.clock(), field="--at"))
    if json:
        say_json(found)
        return OK
    say(f"At {found.at:%Y-%m-%d %H:%M:%S} UTC, after {found.events} acts:")
    if not found.live:
        say("  nothing was live")
    for live in found.live:
        _say_live(live)
    return OK


def _say_live(live: Live) -> None:
    via = f" (by {live.via})" if live.via else ""
    say(f"\n{live.model} {live.label} ({live.version.short}) as {live.arm} with {live.share:.0%} of the traffic")
    say(
        f"  released by {live.by}{via} on {live.since:%Y-%m-%d %H:%M} UTC, act {live.event}; contract {live.contract.short}"
    )
    for a in live.approvals:
        say(f"  {a.name} ({a.role.replace('_', ' ')}) approved on {a.at:%Y-%m-%d %H:%M} UTC, {a.credential}")
    for w in live.waivers:
        say(f"  {w.name} waived {w.gate} until {w.expires_at:%Y-%m-%d}: {w.reason}")
    for gate in live.gates:
        say(f"  {gate.gate}: {gate.verdict}, {gate.digest.short}")


def replay(
    id: Annotated[str, typer.Argument(help="A prediction's id, as its answer gave it.")],
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Ask the same version the same again. Exit code 0: bit for bit the same; 1: it differs; 2: that cannot be told.

    Example: modelmark replay 01a2b3c4
    """
    found = open_workbench(workspace).replay(id)
    if json:
        say_json({**_plain(found), "same": found.same})
        return OK if found.same else REFUSED
    said = "answers bit for bit as it did" if found.same else f"answers otherwise in {len(found.differences)} fields"
    say(f"{'✓' if found.same else '✕'} {found.model} {found.label} ({found.version.short}) {said}; {found.rows} rows")
    for d in found.differences:
        say(f"  row {d.row}, {d.field}: {d.recorded!r} is recorded, {d.replayed!r} now")
    for note in found.notes:
        say(f"  {note}")
    return OK if found.same else REFUSED


def _plain(value: object) -> dict[str, object]:
    from modelmark.seal.digests import plain

    found: dict[str, object] = plain(value)
    return found


def explain(
    id: Annotated[str, typer.Argument(help="A prediction's id, as its answer gave it.")],
    row: Annotated[int, typer.Option(min=0, help="Which of its rows.")] = 0,
    method: Annotated[
        Method, typer.Option(help="How; glass_box only where the model is a sum of terms.")
    ] = Method.SHAP,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Why a prediction was what it was: what each column added, by the version that gave it. Exit code 2: that cannot be told.

    Example: modelmark explain 01a2b3c4 --method lime
    """
    ask = open_workbench(workspace).explain
    try:
        found = ask(id, row, method)
    finally:
        ask.pool.close()
    if json:
        say_json(_plain(found))
        return OK
    told = found.explanation
    of = "" if told.of is None else f" of {told.of}"
    say(f"{found.model} {found.label}, prediction {found.id[:12]}, row {found.row}: score{of} {told.score:.6g}")
    say(f"  {told.how}{'' if told.exact else '; not exact'}")
    if told.base is not None and told.total is not None:
        say(f"  from {told.base:.4g} to {told.total:.4g} in {told.scale}")
    ordered = sorted(told.parts, key=lambda part: -abs(part.adds))
    rows = [
        (part.column, "missing" if part.value is None else str(part.value), f"{part.adds:+.4g}", f"{part.error:.2g}")
        for part in ordered
    ]
    table(("column", "value", "adds", "standard error"), rows)
    return OK
