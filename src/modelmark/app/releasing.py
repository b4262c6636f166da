"""Releases and rollbacks with what goes beside them: MLflow's aliases, and messages to every role."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from modelmark.app import papers
from modelmark.domain import version as names
from modelmark.domain.errors import ModelmarkError
from modelmark.domain.people import Principal, Role
from modelmark.domain.routes import Snapshot
from modelmark.domain.version import Version

if TYPE_CHECKING:
    from modelmark.app import App


def release(app: App, version: Version, share: float, by: Principal | None) -> Snapshot:
    """See `App.release`. The notes are written before the act and queued in its transaction, so none is lost."""
    told = papers.news(app, version, app.releases.champion(version.model)) if app.settings.notify else {}
    title = f"{version.model} {version.label} was released" + (f" to {share:.0%} of traffic" if share < 1 else "")

    def tell(snapshot: Snapshot) -> None:
        for role, notes in told.items():
            app.announce(f"released-{snapshot.sequence}-{role}", role, title, notes)

    snapshot = app.releases.release(version, share=share, actor=_actor(app, by), by=by, tell=tell)
    _alias(app, version.model, marked=version)
    return snapshot


def rollback(app: App, model: str, reason: str, by: Principal | None) -> tuple[Version, Version, Snapshot]:
    """See `App.rollback`."""
    left, back, snapshot = app.releases.rollback(model, actor=_actor(app, by), reason=reason, by=by)
    title = f"{model} was rolled back from {left.label} to {back.label}"
    for role in Role:
        app.announce(f"rolled-back-{snapshot.sequence}-{role}", role, title, reason or "No reason was given.")
    _alias(app, model)
    return left, back, snapshot


def _actor(app: App, by: Principal | None) -> str:
    return by.login if by else app.settings.actor


def _alias(app: App, model: str, *, marked: Version | None = None) -> None:
    """MLflow's aliases follow the route, and it keeps new marks. A dead MLflow undoes no release; people are told."""
    route = app.releases.route(model)
    arms = {arm.name: app.ledger.version(arm.version) for arm in route.arms} if route else {}
    try:
        if marked is not None:
            app.tracking.keep_mark(marked, app.workspace.version(marked.id) / names.MARK)
        for alias in ("champion", "canary"):
            if alias in arms:
                app.tracking.set_alias(arms[alias], alias)
            else:
                app.tracking.remove_alias(model, alias)
    except ModelmarkError as error:
        sys.stderr.write(f"warning: MLflow's aliases and marks of {model} are out of date: {error.message}\n")
