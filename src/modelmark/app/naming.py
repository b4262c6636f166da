"""Which version somebody means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelmark.domain.errors import Missing, Rejected
from modelmark.domain.version import Version

if TYPE_CHECKING:
    from modelmark.app import App


def find(app: App, reference: str | None, model: str | None) -> Version:
    """See `App.find`."""
    model = _model(app, model)
    versions = app.ledger.versions(model)
    if not versions:
        raise Missing("nothing is registered yet", code="NO_VERSION", hint="modelmark register")
    reference = reference or "latest"
    if reference in ("latest", "champion", "canary") or (reference[0] == "v" and reference[1:].isdigit()):
        if model is None:
            known = "|".join(sorted({version.model for version in versions}))
            raise Rejected("several models could be meant", code="WHICH_MODEL", hint=f"say --model {known}")
        found = _named(app, versions, reference, model)
    else:
        found = [v for v in versions if v.id.hex.startswith(reference.removeprefix("sha256:").lower())]
    if not found:
        labels = ", ".join(f"{v.label} ({v.id.short})" for v in versions)
        raise Missing(f"no version answers to {reference!r}", code="NO_VERSION", limit=f"known: {labels}")
    if len(found) > 1:
        raise Rejected(f"{len(found)} versions start with {reference!r}", code="AMBIGUOUS", hint="give more digits")
    return found[0]


def _model(app: App, model: str | None) -> str | None:
    """The one meant: the named one, else the only one, else None."""
    models = sorted({version.model for version in app.ledger.versions()})
    if model is None:
        return models[0] if len(models) == 1 else None
    if model not in models:
        raise Missing(f"there is no model {model!r}", code="NO_MODEL", limit="known: " + (", ".join(models) or "none"))
    return model


def _named(app: App, versions: Sequence[Version], reference: str, model: str) -> list[Version]:
    if reference == "latest":
        return [versions[-1]]
    if reference[0] == "v":
        return [v for v in versions if v.label == reference]
    route = app.releases.route(model)
    arms = {arm.name: arm.version for arm in route.arms} if route else {}
    return [v for v in versions if v.id == arms.get(reference)]
