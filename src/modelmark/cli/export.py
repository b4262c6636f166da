"""What is released, for other servers and for clusters: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from modelmark.cli import options
from modelmark.cli.opening import open_workbench
from modelmark.cli.output import OK, say, say_json, written


def export(
    out: Annotated[Path, typer.Option("--out", "-o", help="A new folder.", show_default=False)],
    to: Annotated[
        str,
        typer.Option(
            help="image (with Kubernetes and KServe), triton, ray-serve, prometheus (with Grafana), or grafana."
        ),
    ] = "image",
    model: Annotated[str | None, typer.Option(help="Of a Triton repository, this one alone [default: all].")] = None,
    workspace: options.Workspace = None,
    json: options.Json = False,
) -> int:
    """Write what is released as a folder to build an image from, as one that Ray Serve runs, or as a Triton model repository;
    or what your own Prometheus and Grafana are told: alerts at the contracts' limits, a dashboard per model.

    A folder for an image or for Ray Serve holds marked versions, the signed snapshot and the public key, and no key that signs: it
    serves as this workspace does, and notices a changed byte.

    Example: modelmark export --to image -o churn-image
    """
    from modelmark.app.usecases.export_release import Form
    from modelmark.domain.errors import Rejected

    if to not in tuple(Form):
        raise Rejected("there is no such form", code="NO_FORM", field="--to", limit=", ".join(Form))
    app = open_workbench(workspace)
    with written(out):
        found = app.export(out, Form(to), model=model)
    if json:
        say_json(found)
        return OK
    listed = "; ".join(f"{name} {', '.join(labels)}" for name, labels in found.models.items())
    say(f"✓ {found.folder}: {listed}, {len(found.files)} files")
    triton = found.form is Form.TRITON
    following = f"tritonserver --model-repository {found.folder}" if triton else f"{found.folder}/README.md"
    say(f"  next: {following}")
    return OK
