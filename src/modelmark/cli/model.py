"""From a contract to evidence: schema, register, check, fetch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_app, open_workbench
from modelmark.cli.output import OK, progress, require_folder, say, say_json, table, written

if TYPE_CHECKING:
    from modelmark.app.usecases.check_version import CheckResult
    from modelmark.domain.version import Version


def schema(
    out: Annotated[Path | None, typer.Option(help="Write to a file instead of standard output.")] = None,
) -> int:
    """The contract's JSON Schema, for editors that complete and check YAML.

    Example: modelmark schema --out modelmark.schema.json
    """
    from modelmark.contract.read import schema as body

    if out is None:
        say_json(body())
    else:
        import json as form

        with written(out):
            out.write_text(form.dumps(body(), indent=2) + "\n", encoding="utf-8")
    return OK


def register(
    contract: options.Contract = Path("modelmark.yaml"),
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Convert the model to ONNX in a sandbox, compare every holdout row, and name the version by its digest.

    Example: modelmark register --contract models/churn/modelmark.yaml
    """
    app = open_workbench(workspace)
    with progress(quiet=json) as bar:
        version, new = app.register(contract, progress=bar, by=app.principal)
    if json:
        say_json({"version": version, "new": new})
        return OK
    parity = version.parity
    word = "registered" if new else "these exact bytes are registered already:"
    say(f"✓ {word} {version.model} {version.label} ({version.id.short})")
    how = "as itself" if version.as_itself else "conversion"
    flipped = f"{parity.flipped} of {parity.rows} holdout decisions flipped"
    say(f"  {how}: {flipped}, largest difference {parity.max_difference:.2g}")
    say(f"  next: modelmark {f'check {version.argument}' if new else 'status'}")
    return OK


def check(
    version: options.Version = None,
    *,
    contract: options.Contract = Path("modelmark.yaml"),
    only: Annotated[list[str] | None, typer.Option(help="Run this gate alone; may be given several times.")] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Run the quick gates alone; a release needs the others too.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Measure again what was measured on the same bytes, tables and champion.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Also write the evidence as JUnit XML, for a CI to draw.")] = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Run every gate the contract asks for and write the report. Exit code 0 pass, 1 failed, 2 could not measure.

    Example: modelmark check v3 --fast --junit gates.xml
    """
    if junit is not None:
        require_folder(junit, "--junit")
    app = open_workbench(workspace, contract)
    found = app.find(version, model)
    with progress(quiet=json) as bar:
        result = app.check(found, contract, progress=bar, only=only or (), fast=fast, again=again, by=app.principal)
    if junit is not None:
        from modelmark.gates.junit import junit as as_xml

        with written(junit, "--junit"):
            junit.write_text(as_xml(found, result.evidence), encoding="utf-8")
    if json:
        say_json(
            {
                "version": found.id,
                "label": found.label,
                "verdict": result.verdict,
                "evidence": [_without_figures(item) for item in result.evidence],
                "gates": result.status.gates,
                "reused": result.reused,
                "report": result.report,
            }
        )
        return int(result.verdict.exit_code)
    _say_checked(found, result)
    return int(result.verdict.exit_code)


def _say_checked(found: Version, result: CheckResult) -> None:
    """The verdict, then only what needs attention, then where the rest is."""
    say(f"{result.verdict.sign} {found.model} {found.label} ({found.id.short}): {result.sentence}\n")
    attention = [
        (c.verdict.sign, item.gate, c.sentence)
        for item in result.evidence
        for c in item.checks
        if c.decides and c.verdict.exit_code
    ]
    if attention:
        table(("", "gate", "what it says"), attention)
    for item in result.evidence:
        how = "as measured before" if item.gate in result.reused else f"in {item.seconds:.1f} s"
        say(f"  {item.verdict.sign} {item.gate:<14} {len(item.checks)} checks {how}")
    left = [name for name in result.status.gates if name not in {item.gate for item in result.evidence}]
    if left:
        say(f"  – not run now: {', '.join(left)}")
    say(f"\n  the whole report: {result.report}")


def fetch(
    version: options.Version = None,
    model: options.Model = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Bring a version's files back from MLflow into this workspace, digest by digest.

    Example: modelmark fetch v3
    """
    app = open_app(workspace)
    found = app.find(version, model)
    folder = app.fetch(found)
    if json:
        say_json({"version": found.id, "folder": folder})
    else:
        say(f"✓ {found.model} {found.label} is in {folder}")
    return OK


def _without_figures(evidence: Any) -> dict[str, Any]:
    from modelmark.seal.digests import plain

    facts: dict[str, Any] = plain(evidence)
    return {**{k: v for k, v in facts.items() if k != "figures"}, "verdict": evidence.verdict.value}
