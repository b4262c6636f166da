"""Training again, and training the same again: retrain, reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, REFUSED, progress, say, say_json

_CANNOT_TELL = 2


def retrain(
    *,
    because: Annotated[str, typer.Option(help="Why now; it is kept with the version.")] = "asked for by hand",
    contract: options.Contract = Path("modelmark.yaml"),
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Train on what was labelled since, by the contract's own code, and prove the new model on rows later than those.

    Exit code 0: surely better than the champion, and every gate passed. 1: not; it is kept as evidence. 2: cannot tell.

    Example: modelmark retrain --contract models/churn/modelmark.yaml --because "new prices"
    """
    app = open_workbench(workspace, contract)
    with progress(quiet=json) as bar:
        found = app.retrain(contract, why=because, progress=bar, by=app.principal)
    proof, facts, version = found.proof, found.facts, found.version
    code = {"better": OK, "cannot tell": _CANNOT_TELL}.get(proof.outcome, REFUSED)
    if json:
        say_json(
            {"version": version.id, "label": version.label, "folder": found.folder, "proof": proof, "facts": facts}
        )
        return code
    sign = {OK: "✓", REFUSED: "✕"}.get(code, "?")
    say(f"{sign} {version.model} {version.label} ({version.id.short}): {proof.outcome}")
    say(f"  {proof.sentence}")
    learned = f"{facts.rows:,} rows, seed {facts.seed}, {facts.seconds:.1f} s"
    left_out = f" ({facts.capped:,} left out: one source gave too many)" if facts.capped else ""
    say(
        f"  learned from {learned}{left_out}; proven on {facts.later_rows:,} rows predicted from {facts.parted:%Y-%m-%d %H:%M}"
    )
    if not facts.network_cut:
        say("  ! this kernel left the training code its network")
    say(f"  everything is in {found.folder}")
    if code == OK:
        say(f"  {facts.consent}")
        say(f"  next: modelmark status --model {version.model} says who must agree")
    return code


def reproduce(
    version: options.Version = None,
    *,
    contract: options.Contract = Path("modelmark.yaml"),
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Train a version once more from its own table, code and seed, and compare. Exit code 1: it answers otherwise.

    Example: modelmark reproduce v3
    """
    app = open_workbench(workspace, contract)
    found = app.find(version, model)
    with progress(quiet=json) as bar:
        again = app.reproduce(found, contract, progress=bar)
    if json:
        say_json({**_plain(again), "label": found.label})
        return OK if again.same else REFUSED
    say(f"{'✓' if again.same else '✕'} {found.model} {found.label}: {again.likeness}")
    say(f"  trained in {again.seconds:.1f} s from {again.train.short}, seed {again.seed}")
    if again.rows:
        say(f"  {again.flipped:,} of {again.rows:,} rows decided otherwise; largest difference {again.distance:.3g}")
    return OK if again.same else REFUSED


def _plain(again: object) -> dict[str, object]:
    from dataclasses import fields, is_dataclass

    assert is_dataclass(again)
    found = {item.name: getattr(again, item.name) for item in fields(again)}
    return {**found, "version": found["version"].id}
